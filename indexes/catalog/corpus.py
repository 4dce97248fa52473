"""Documents in the catalog: looked up, filtered, removed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from indexes.catalog.document_rows import DOCUMENT, check_text, document_of
from indexes.catalog.filtering import (
    checked_condition,
    checked_rows,
    fields_in,
    indexed_fields,
)
from indexes.catalog.filters.conditions import AnyOf, Filter
from indexes.catalog.filters.sql import any_document
from indexes.catalog.passages import Passages
from indexes.catalog.sqlite.database import CHOSEN, Row
from indexes.document import Document
from indexes.neighbors import Keys

# Documents with their texts, which may be a megabyte each.
TEXT_PAGE = 100
DELETED_AT_ONCE = 10_000
# Documents that are read for the names of fields.
SAMPLED = 500


class Corpus(Passages):
    """The documents of a collection, and their passages: see `Passages`."""

    def document(self, doc_id: str) -> Document | None:
        """Return the document of that id, or None."""
        if not _is_possible(doc_id):
            return None
        row = None
        # A miss may come from a damaged index of SQLite's: then the table itself is scanned.
        for source in ("documents", "documents NOT INDEXED"):
            sql = f"SELECT {DOCUMENT} FROM {source} LEFT JOIN texts USING (document)"
            row = row or self._catalog.row(f"{sql} WHERE doc_id = ?", [doc_id])
        return next(self._documents([row])) if row else None

    def unknown_ids(self, doc_ids: Sequence[str]) -> list[str]:
        """Return those of some ids that no document has, in the order given."""
        sql = """
            SELECT value FROM json_each(?)
            WHERE NOT EXISTS (SELECT 1 FROM documents WHERE doc_id = value)
        """
        unknown = {doc_id for (doc_id,) in self._catalog.rows(sql, [possible_ids(doc_ids)])}
        if unknown:
            # As in `document`: the table itself decides.
            sql = "SELECT doc_id FROM documents NOT INDEXED WHERE doc_id IN " + CHOSEN
            unknown -= {row[0] for row in self._catalog.rows(sql, [json.dumps(sorted(unknown))])}
        return [doc_id for doc_id in doc_ids if doc_id in unknown or not _is_possible(doc_id)]

    def unknown_keys(self, keys: Keys) -> int:
        """Return how many of some keys, ascending, belong neither to a passage nor a tombstone."""
        if not len(keys):
            return 0
        sql = """
            SELECT key FROM passages WHERE key >= ? AND key <= ?
            UNION ALL SELECT key FROM tombstones WHERE key >= ? AND key <= ?
        """
        rows = self._catalog.stream(sql, [int(keys[0]), int(keys[-1])] * 2)
        known = np.fromiter((key for (key,) in rows), np.int64)
        return int((~np.isin(keys, known)).sum())

    def documents(self, where: Filter | None = None, *, after: int = 0) -> Iterator[Document]:
        """Yield every document, in the order of adding; without those that are added meanwhile.

        With a filter, those that match it. Only those of numbers above `after`.
        """
        if where is not None:
            yield from self._documents_that_match(where, after)
            return
        sql = f"""
            SELECT {DOCUMENT} FROM documents LEFT JOIN texts USING (document)
            WHERE document < ? AND document > ? ORDER BY document LIMIT ?
        """
        with self._catalog.reading():
            stop, content, expected = self._catalog.rows(
                "SELECT next_document, content, documents FROM state"
            )[0]
        count = 0
        for page in self._catalog.pages(sql, [stop], TEXT_PAGE, after=after):
            yield from self._documents(page)
            count += len(page)
        if not after and count != expected and self.content() == content:
            raise self._catalog.damage(f"of {expected:,} documents, {count:,} were found")

    def _documents_that_match(self, where: Filter, after: int) -> Iterator[Document]:
        condition, parameters = checked_condition(self._catalog, where)
        sql = f"""
            SELECT {DOCUMENT} FROM documents LEFT JOIN texts USING (document)
            WHERE ({condition}) AND document > ? ORDER BY document LIMIT ?
        """
        for page in self._catalog.pages(sql, parameters, TEXT_PAGE, after=after):
            yield from self._documents(page)

    def documents_of(self, doc_ids: Sequence[str]) -> Iterator[Document]:
        """Yield the documents of some ids, in no order; unknown ids are left out."""
        sql = "SELECT document FROM json_each(?) JOIN documents ON doc_id = value"
        numbers = [number for (number,) in self._catalog.rows(sql, [possible_ids(doc_ids)])]
        yield from (document for _, document in self.documents_with(numbers))

    def numbers_of(self, doc_ids: Sequence[str]) -> dict[str, int]:
        """Return the numbers of the documents of some ids; unknown ids are left out."""
        sql = "SELECT doc_id, document FROM json_each(?) JOIN documents ON doc_id = value"
        return dict(self._catalog.rows(sql, [possible_ids(doc_ids)]))

    def checksum(self) -> str:
        """Return SHA-256 over all ids and the checksums of their contents, by id; 16 digits."""
        digest = hashlib.sha256()
        sql = """
            SELECT doc_id, documents.checksum, COALESCE(images.checksum, '')
            FROM documents LEFT JOIN images USING (document) ORDER BY doc_id
        """
        for doc_id, checksum, image in self._catalog.stream(sql, []):
            digest.update(doc_id.encode() + b"\0" + checksum + image.encode())
        return digest.hexdigest()[:16]

    def numbered(self) -> Iterator[tuple[int, Document]]:
        """Yield every document's number, and the document without its text."""
        for number, doc_id, _, metadata, _ in checked_rows(self._catalog):
            yield number, Document(doc_id, "", "", json.loads(metadata))

    def _documents(self, rows: Sequence[Row]) -> Iterator[Document]:
        image = self.images.of(row[0] for row in rows).get
        for row in rows:
            check_text(self._catalog, row)
            yield document_of(row, image(row[0]))

    def matching(self, where: Filter) -> Keys:
        """Return all keys of documents that match a filter, stale ones too, ascending."""
        condition, parameters = checked_condition(self._catalog, where)
        keys = [np.empty(0, np.int64)]
        for table in ("passages", "stale") if self.stale.exist() else ("passages",):
            sql = f"SELECT key FROM documents JOIN {table} USING (document) WHERE {condition}"
            rows = self._catalog.stream(sql, parameters)
            keys.append(np.fromiter((key for (key,) in rows), np.int64))
        return np.unique(np.concatenate(keys))

    def any_match(self, where: Filter) -> bool:
        """Return whether any document matches a filter."""
        if isinstance(where, AnyOf):
            return any(map(self.any_match, where.parts))
        condition, parameters = checked_condition(self._catalog, where)
        if found := any_document(where, indexed_fields(self._catalog)):
            return bool(self._catalog.value(*found))
        return bool(
            self._catalog.rows(f"SELECT 1 FROM documents WHERE {condition} LIMIT 1", parameters)
        )

    def some_fields(self) -> set[tuple[str, ...]]:
        """Return the metadata fields of some hundred documents, as paths."""
        sql = "SELECT metadata FROM documents WHERE metadata != '{}' LIMIT ?"
        rows = self._catalog.rows(sql, [SAMPLED])
        return {path for (text,) in rows for path in fields_in(json.loads(text))}

    def spread(self, most: int) -> list[int]:
        """Return the numbers of at most `most` documents, evenly spread in the order of adding."""
        step = max(1, -(-self.count() // most))
        sql = """
            SELECT document FROM (
                SELECT document, ROW_NUMBER() OVER (ORDER BY document) - 1 AS place FROM documents
            ) WHERE place % ? = 0
        """
        return [number for (number,) in self._catalog.rows(sql, [step])]

    def metadata_with(self, numbers: Sequence[int]) -> Iterator[dict[str, Any]]:
        """Yield the metadata of some documents, given by number; empty ones are left out."""
        sql = f"SELECT metadata FROM documents WHERE metadata != '{{}}' AND document IN {CHOSEN}"
        for (text,) in self._catalog.rows(sql, [json.dumps(list(numbers))]):
            yield json.loads(text)

    def delete(self, doc_ids: Iterable[str]) -> int:
        """Remove documents by id; return how many."""
        sql = "SELECT document FROM json_each(?) JOIN documents ON doc_id = value"
        waiting, rows = iter(dict.fromkeys(doc_ids)), list[Row]()
        while some := list(islice(waiting, DELETED_AT_ONCE)):
            rows += self._catalog.rows(sql, [json.dumps(some)])
        return self._remove(rows)

    def delete_where(self, where: Filter) -> int:
        """Remove the documents that match a filter; return how many."""
        condition, parameters = checked_condition(self._catalog, where)
        sql = f"SELECT document FROM documents WHERE {condition}"
        return self._remove(self._catalog.rows(sql, parameters))

    def delete_numbers(self, numbers: Keys) -> int:
        """Remove documents by number; return how many."""
        return self._remove([(number,) for number in numbers.tolist()])

    def _remove(self, rows: Sequence[Row]) -> int:
        waiting = (number for (number,) in rows)
        while some := list(islice(waiting, DELETED_AT_ONCE)):
            removed = self.tombstone_passages(some)
            self.images.remove(some)
            self.origins.forget(some)
            chosen = [json.dumps(some)]
            for table in ("documents", "texts", "field_values"):
                self._catalog.execute(f"DELETE FROM {table} WHERE document IN {CHOSEN}", chosen)
            self._catalog.execute(
                "UPDATE state SET documents = documents - ?, passages = passages - ?,"
                " content = generation + 1",
                [len(some), removed],
            )
        return len(rows)


def possible_ids(doc_ids: Iterable[str]) -> str:
    """Return those of some ids that a document could have, as JSON."""
    return json.dumps([doc_id for doc_id in doc_ids if _is_possible(doc_id)])


def _is_possible(doc_id: str) -> bool:
    """Return whether a document could have this id: JSON and SQLite can hold it unchanged."""
    try:
        doc_id.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in doc_id
