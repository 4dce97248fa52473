"""Documents and their passages in the catalog: looked up, filtered, removed."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice, takewhile
from typing import NamedTuple

import numpy as np

from indexes.catalog.database import Catalog, Row
from indexes.catalog.filter_sql import condition
from indexes.catalog.filters import Filter, fields_of
from indexes.catalog.row_checksums import are_whole_hits, is_whole_document, is_whole_passage
from indexes.document import Document, content_checksum, passage_text
from indexes.neighbors import NO_KEY, Keys

# Rows of documents without their texts, and with them: those may be a megabyte each.
PAGE = 500
TEXT_PAGE = 100
# What a batch of passages may hold, unless a single one is longer.
BATCH_CHARACTERS = 8_000_000
DELETED_AT_ONCE = 10_000
# Of so many passages, the usual answer to a query, the keys are parameters of a statement, one for
# each number of them; of more, they are one parameter in JSON.
KEYS_BY_NAME = 32


@dataclass(frozen=True)
class Passage:
    """What is embedded: a key, and the text that stands behind it for good."""

    key: int
    text: str


class FoundPassage(NamedTuple):
    """A passage with the document that it comes from; `start` and `end` count its characters."""

    key: int
    document: Document
    start: int
    end: int


class Corpus:
    """The documents of a collection. Methods that write must run inside `catalog.writing()`.

    Every row that is read is compared with its seal: what was damaged is never answered with.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    # -- counts ---------------------------------------------------------------------------------

    def count(self) -> int:
        """How many documents there are."""
        return int(self._catalog.value("SELECT documents FROM state"))

    def count_all_passages(self) -> int:
        """How many passages there are."""
        return int(self._catalog.value("SELECT passages FROM state"))

    def split(self) -> str:
        """The JSON of how documents are cut into passages; `null`: one passage a document."""
        return str(self._catalog.value("SELECT split FROM state"))

    @functools.cached_property
    def is_split(self) -> bool:
        """Whether documents are cut: set when a collection is made, so it is asked for once."""
        return self.split() != "null"

    def stop_key(self) -> int:
        """The key that the next passage will get; every key before it is taken for good."""
        return int(self._catalog.value("SELECT next_key FROM state"))

    def content(self) -> int:
        """The generation in which a document changed last."""
        return int(self._catalog.value("SELECT content FROM state"))

    def count_passages(self, first_key: int, stop_key: int) -> int:
        """How many passages there are from `first_key` to before `stop_key`."""
        sql = "SELECT COUNT(*) FROM passages WHERE key >= ? AND key < ?"
        return int(self._catalog.value(sql, [first_key, stop_key]))

    def count_documents(self, gaps: Sequence[tuple[int, int]]) -> int:
        """How many documents have a passage whose key lies in one of some intervals."""
        if not self.is_split:
            return sum(self.count_passages(*gap) for gap in gaps)
        sql = """
            SELECT COUNT(DISTINCT document) FROM json_each(?) AS gap JOIN passages
            ON passages.key >= json_extract(gap.value, '$[0]')
            AND passages.key < json_extract(gap.value, '$[1]')
        """
        return int(self._catalog.value(sql, [json.dumps(gaps)]))

    def tombstones(self) -> Keys:
        """The keys of passages that are gone but may stand in a file, in order.

        Raises:
            DamageError: one of them belongs to a passage that is there.
        """
        rows = self._catalog.rows("SELECT key FROM tombstones ORDER BY key")
        alive = "SELECT COUNT(*) FROM tombstones JOIN passages USING (key)"
        if self._catalog.value(alive):
            raise self._catalog.damage("a passage is there and gone at once")
        return np.array(rows, np.int64).reshape(-1)

    # -- documents ------------------------------------------------------------------------------

    def document(self, doc_id: str) -> Document | None:
        """The document of that id, or None."""
        if not _is_possible(doc_id):
            return None
        sql = f"""
            SELECT {_DOCUMENT} FROM documents {{}} LEFT JOIN texts USING (document)
            WHERE doc_id = ?
        """
        # A miss may come from a damaged index of SQLite's: then the rows themselves are asked.
        row = self._catalog.row(sql.format(""), [doc_id]) or self._catalog.row(
            sql.format("NOT INDEXED"), [doc_id]
        )
        return self._document(row) if row else None

    def unknown_ids(self, doc_ids: Sequence[str]) -> list[str]:
        """Those of some ids that no document has, in the order given."""
        sql = """
            SELECT value FROM json_each(?)
            WHERE NOT EXISTS (SELECT 1 FROM documents WHERE doc_id = value)
        """
        possible = json.dumps([doc_id for doc_id in doc_ids if _is_possible(doc_id)])
        unknown = {doc_id for (doc_id,) in self._catalog.rows(sql, [possible])}
        if unknown:
            # As in `document`: the rows themselves have the last word.
            sql = "SELECT doc_id FROM documents NOT INDEXED WHERE doc_id IN " + _CHOSEN
            unknown -= {row[0] for row in self._catalog.rows(sql, [json.dumps(sorted(unknown))])}
        return [doc_id for doc_id in doc_ids if doc_id in unknown or not _is_possible(doc_id)]

    def documents(self) -> Iterator[Document]:
        """Every document that there is now, in the order in which they came.

        Read in pages: what is added while somebody iterates does not join.
        """
        sql = f"""
            SELECT {_DOCUMENT} FROM documents LEFT JOIN texts USING (document)
            WHERE document < ? AND document > ? ORDER BY document LIMIT ?
        """
        with self._catalog.reading():
            stop, content, there = self._catalog.rows(
                "SELECT next_document, content, documents FROM state"
            )[0]
        given = 0
        for page in self._catalog.pages(sql, [stop], TEXT_PAGE):
            yield from map(self._document, page)
            given += len(page)
        if given != there and self.content() == content:
            raise self._catalog.damage(f"of {there:,} documents, {given:,} are there")

    def documents_of(self, doc_ids: Sequence[str]) -> Iterator[Document]:
        """The documents of some ids, in no order; ids that no document has are left out."""
        sql = "SELECT document FROM json_each(?) JOIN documents ON doc_id = value"
        possible = json.dumps([doc_id for doc_id in doc_ids if _is_possible(doc_id)])
        numbers = [number for (number,) in self._catalog.rows(sql, [possible])]
        yield from map(_document_of, self._with_texts(numbers))

    def checksum(self) -> str:
        """SHA-256 over all ids and the checksums of their texts, ordered by id; 16 digits."""
        digest = hashlib.sha256()
        sql = "SELECT doc_id, checksum FROM documents ORDER BY doc_id"
        for doc_id, checksum in self._catalog.stream(sql, []):
            digest.update(doc_id.encode() + b"\0" + checksum)
        return digest.hexdigest()[:16]

    def numbered(self) -> Iterator[tuple[int, Document]]:
        """Every document's number, and the document without its text."""
        for number, doc_id, _, metadata, _ in self._rows():
            yield number, Document(doc_id, "", "", json.loads(metadata))

    def _rows(self) -> Iterator[Row]:
        """Every document's row without its text, checked."""
        sql = """
            SELECT document, doc_id, checksum, metadata, seal FROM documents
            WHERE document > ? ORDER BY document LIMIT ?
        """
        for page in self._catalog.pages(sql, [], PAGE):
            for row in page:
                self._check_document(row)
                yield row

    # -- passages -------------------------------------------------------------------------------

    def found(self, keys: Sequence[int]) -> dict[int, FoundPassage]:
        """The passages of `keys` with their documents; key -1 is left out.

        Raises:
            DamageError: a key has no passage, or a passage has no document.
        """
        if self.is_split:
            return self._found_of_split(keys)
        wanted = [key for key in keys if key != NO_KEY]
        if 0 < len(wanted) <= KEYS_BY_NAME:
            rows = self._all_of(wanted, self._catalog.rows(_found_by_name(len(wanted)), wanted))
        else:
            rows = self._wanted(_FOUND.format("json_each(?) AS wanted"), wanted)
        if not are_whole_hits(rows):
            self._check_found(rows)
        return {
            key: FoundPassage(key, Document.stored(str(doc_id), text, title, metadata), start, stop)
            for key, _, start, stop, _, _, doc_id, _, metadata, _, title, text in rows
        }

    def _check_found(self, rows: Sequence[Row]) -> None:
        """Check rows of `_FOUND` one by one, to say which of them is damaged."""
        for row in rows:
            self._check_passage(*row[:5])
            if row[6] is None:
                raise self._catalog.damage(f"document {row[1]} is lost")
            self._check_text(row[5:])

    def _found_of_split(self, keys: Sequence[int]) -> dict[int, FoundPassage]:
        """`found`, by two statements: a text is fetched once, however many of its passages are
        there, and they share it.
        """
        sql = """
            SELECT passages.key, document, start, stop, seal
            FROM json_each(?) AS wanted JOIN passages ON passages.key = wanted.value
        """
        rows = self._wanted(sql, keys)
        for row in rows:
            self._check_passage(*row)
        documents = {row[0]: _document_of(row) for row in self._with_texts(row[1] for row in rows)}
        return {
            key: FoundPassage(key, documents[number], start, stop)
            for key, number, start, stop, _ in rows
        }

    def doc_ids(self, keys: Sequence[int]) -> dict[int, str]:
        """The ids of the documents of `keys`, by one statement, without reading any text.

        Raises:
            DamageError: a key has no passage.
        """
        sql = """
            SELECT passages.key, start, stop, passages.seal, document, doc_id, checksum,
                   metadata, documents.seal
            FROM json_each(?) AS wanted JOIN passages ON passages.key = wanted.value
            JOIN documents USING (document)
        """
        doc_ids = {}
        for key, start, stop, row_checksum, *row in self._wanted(sql, keys):
            self._check_passage(key, row[0], start, stop, row_checksum)
            self._check_document(row)
            doc_ids[key] = row[1]
        return doc_ids

    def owners(self, keys: Keys) -> Keys:
        """The number of the document of each of some keys (any shape); -1 for key -1."""
        sql = """
            SELECT passages.key, document
            FROM json_each(?) AS wanted JOIN passages ON passages.key = wanted.value
        """
        distinct, place = np.unique(keys, return_inverse=True)
        documents: dict[int, int] = dict(self._wanted(sql, distinct.tolist()))
        owners = np.array([documents.get(key, NO_KEY) for key in distinct.tolist()], np.int64)
        return owners[place].reshape(keys.shape)

    def _wanted(self, sql: str, keys: Sequence[int]) -> list[Row]:
        wanted = [key for key in keys if key != NO_KEY]
        return self._all_of(wanted, self._catalog.rows(sql, [json.dumps(wanted)]))

    def _all_of(self, wanted: Sequence[int], rows: list[Row]) -> list[Row]:
        """The rows of some keys, if none is lost."""
        if len(rows) != len(wanted):
            lost = sorted(set(wanted) - {row[0] for row in rows})
            raise self._catalog.damage(f"passage {lost[0] if lost else wanted[0]} is lost")
        return rows

    def _with_texts(self, numbers: Iterable[int]) -> Iterator[Row]:
        """The rows of some documents with their texts, each checked, one at a time.

        Raises:
            DamageError: one of them is not there, or not what was committed.
        """
        sql = f"""
            SELECT {_DOCUMENT} FROM documents LEFT JOIN texts USING (document)
            WHERE document IN {_CHOSEN}
        """
        lost = set(numbers)
        for row in self._catalog.stream(sql, [json.dumps(sorted(lost))]):
            # Here and not where the row goes: the error must leave no statement open behind it.
            self._check_text(row)
            lost.discard(row[0])
            yield row
        if lost:
            raise self._catalog.damage(f"document {min(lost)} is lost")

    def passages(self, first_key: int, stop_key: int, limit: int) -> list[Passage]:
        """Passages from `first_key` to before `stop_key`, in key order: the first ones there are.

        At most `limit`, and about `BATCH_CHARACTERS` of text, but always one if there is one. What
        is left out comes with the next call, from the key after the last one given.
        """
        sql = """
            SELECT key, document, start, stop, seal FROM passages
            WHERE key >= ? AND key < ? ORDER BY key LIMIT ?
        """
        rows = self._catalog.rows(sql, [first_key, stop_key, limit])
        for row in rows:
            self._check_passage(*row)
        rows = rows[: _fitting(stop - start for _, _, start, stop, _ in rows)]
        stretches = self._stretches(rows)
        # A long title, which stands before each of its passages, can be most of what they hold.
        fitting = _fitting(sum(map(len, stretches[row[0]])) for row in rows)
        return [
            Passage(key, passage_text(title, text, 0, len(text)))
            for key, *_ in rows[:fitting]
            for title, text in [stretches[key]]
        ]

    def _stretches(self, rows: Sequence[Row]) -> dict[int, tuple[str, str]]:
        """The title and the stretch of text of each of some passages, by key.

        One whole text is held at a time: it may be far longer than its passages among these.
        """
        wanted: dict[int, list[Row]] = {}
        for row in rows:
            wanted.setdefault(row[1], []).append(row)
        stretches = {}
        for number, *_, title, text in self._with_texts(wanted):
            for key, _, start, stop, _ in wanted[number]:
                stretches[key] = title, text[start:stop]
        return stretches

    # -- filters --------------------------------------------------------------------------------

    def matching(self, where: Filter) -> Keys:
        """The keys of all passages whose documents a filter lets through, ascending."""
        sql, parameters = self._condition(where)
        rows = self._catalog.stream(
            f"SELECT key FROM documents JOIN passages USING (document) WHERE {sql}", parameters
        )
        return np.sort(np.fromiter((key for (key,) in rows), np.int64))

    def _condition(self, where: Filter) -> tuple[str, list[object]]:
        """A filter as SQL, once it is sure that what the SQL goes by is whole.

        What a damaged look-up leaves out, nobody would miss.
        """
        fields = self.fields()
        looked_up = [field in fields for field in fields_of(where)]
        self._catalog.check_once("documents", lambda: self._check_tree("quick_check(documents)"))
        self.check_passages()
        if any(looked_up):
            self._catalog.check_once(
                "values", lambda: self._check_tree("integrity_check(field_values)")
            )
        if not all(looked_up):
            self._catalog.check_once("metadata", self._check_metadata)
        return condition(where, fields)

    def check_passages(self) -> None:
        """Check once, as long as the collection is open, that what counts passages is whole.

        Raises:
            DamageError: a row is lost, or stands under another key.
        """
        self._catalog.check_once("passages", lambda: self._check_tree("integrity_check(passages)"))

    def _check_tree(self, check: str) -> None:
        """Check a table's tree, and by `integrity_check` also its indexes against it."""
        for (said,) in self._catalog.rows(f"PRAGMA {check}"):
            if said != "ok":
                raise self._catalog.damage(str(said))

    def _check_metadata(self) -> None:
        """Check the rows that a filter on a field without an index reads one by one."""
        for _ in self._rows():
            pass

    def fields(self) -> dict[tuple[str, ...], int]:
        """The metadata fields that are indexed, and their numbers."""
        rows = self._catalog.rows("SELECT path, field FROM fields ORDER BY field")
        return {tuple(json.loads(path)): field for path, field in rows}

    # -- removing -------------------------------------------------------------------------------

    def delete(self, doc_ids: Iterable[str]) -> int:
        """Remove documents by id; how many there were."""
        sql = "SELECT document FROM json_each(?) JOIN documents ON doc_id = value"
        waiting, rows = iter(dict.fromkeys(doc_ids)), list[Row]()
        while some := list(islice(waiting, DELETED_AT_ONCE)):
            rows += self._catalog.rows(sql, [json.dumps(some)])
        return self._remove(rows)

    def delete_where(self, where: Filter) -> int:
        """Remove the documents that a filter lets through; how many there were."""
        sql, parameters = self._condition(where)
        rows = self._catalog.rows(f"SELECT document FROM documents WHERE {sql}", parameters)
        return self._remove(rows)

    def _remove(self, rows: Sequence[Row]) -> int:
        waiting = (number for (number,) in rows)
        while some := list(islice(waiting, DELETED_AT_ONCE)):
            buried = self.tombstone_passages(some)
            chosen = [json.dumps(some)]
            for table in ("documents", "texts", "field_values"):
                self._catalog.execute(f"DELETE FROM {table} WHERE document IN {_CHOSEN}", chosen)
            self._catalog.execute(
                "UPDATE state SET documents = documents - ?, passages = passages - ?,"
                " content = generation + 1",
                [len(some), buried],
            )
        return len(rows)

    def tombstone_passages(self, documents: Sequence[int]) -> int:
        """Remove the passages of documents and remember their keys; how many those were."""
        if not documents:
            return 0
        chosen = json.dumps(list(documents))
        self._catalog.execute(
            f"""
            WITH held (first_key, stop_key) AS MATERIALIZED (
                SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?)
            )
            INSERT INTO tombstones SELECT key FROM passages WHERE document IN {_CHOSEN} AND EXISTS
                (SELECT 1 FROM held WHERE first_key <= key AND key < stop_key)
            """,
            [json.dumps(self._held_keys()), chosen],
        )
        return self._catalog.execute(f"DELETE FROM passages WHERE document IN {_CHOSEN}", [chosen])

    def _held_keys(self) -> list[tuple[int, int]]:
        """The intervals of keys that a shard answers for, or that BM25 has read.

        There may be thousands of shards, but they stand beside each other: few intervals are left
        to compare each removed key with.
        """
        sql = """
            SELECT first_key, stop_key FROM shards NOT INDEXED
            UNION ALL SELECT 1, stop_key FROM indexes WHERE kind = 'lexical' AND stop_key > 1
        """
        return _merged(self._catalog.rows(sql))

    def passages_of(self, documents: Keys) -> tuple[Keys, Keys]:
        """The keys of all passages of some documents, and the document of each, by key."""
        sql = f"SELECT key, document FROM passages WHERE document IN {_CHOSEN} ORDER BY key"
        rows = self._catalog.rows(sql, [json.dumps(np.unique(documents).tolist())])
        table = np.array(rows, np.int64).reshape(-1, 2)
        return table[:, 0], table[:, 1]

    # -- seals ----------------------------------------------------------------------------------

    def _document(self, row: Sequence[object]) -> Document:
        self._check_text(row)
        return _document_of(row)

    def _check_text(self, row: Sequence[object]) -> None:
        """Check a row of `_DOCUMENT`: the document's own, and its text."""
        self._check_document(row)
        _, doc_id, checksum, _, _, title, text = row
        if content_checksum(str(title), str(text)) != checksum:
            raise self._catalog.damage(f"the text of document {doc_id!r} is not what was added")

    def _check_document(self, row: Sequence[object]) -> None:
        if not is_whole_document(row[:5]):
            raise self._catalog.damage(f"the row of document {row[0]} is not what was committed")

    def _check_passage(
        self, key: int, document: int, start: int, stop: int, row_checksum: int
    ) -> None:
        if not is_whole_passage((key, document, start, stop, row_checksum)):
            raise self._catalog.damage(f"passage {key} is not what was committed")


_DOCUMENT = "document, doc_id, checksum, metadata, documents.seal, title, text"
_CHOSEN = "(SELECT value FROM json_each(?))"
_FOUND = f"""
    SELECT passages.key, passages.document, start, stop, passages.seal, {_DOCUMENT}
    FROM {{}} JOIN passages ON passages.key = wanted.value
    LEFT JOIN documents USING (document) LEFT JOIN texts USING (document)
"""


@functools.cache
def _found_by_name(count: int) -> str:
    """`_FOUND` of so many keys, each a parameter: SQLite then need not read JSON."""
    rows = ", ".join(["(?)"] * count)
    return f"WITH wanted (value) AS (VALUES {rows}) {_FOUND.format('wanted')}"


def _document_of(row: Sequence[object]) -> Document:
    _, doc_id, _, metadata, _, title, text = row
    return Document.stored(str(doc_id), str(text), str(title), str(metadata))


def _fitting(lengths: Iterable[int]) -> int:
    """How many of some texts make a batch, from the first on: at least one if there is one."""
    totals = accumulate(lengths)
    first = len(list(islice(totals, 1)))
    return first + sum(1 for _ in takewhile(lambda total: total <= BATCH_CHARACTERS, totals))


def _merged(intervals: Iterable[Row]) -> list[tuple[int, int]]:
    """The same whole numbers in as few intervals (first, stop) as hold them, ascending."""
    merged: list[tuple[int, int]] = []
    for first, stop in sorted(intervals):
        if merged and first <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(stop, merged[-1][1])
        else:
            merged.append((first, stop))
    return merged


def _is_possible(doc_id: str) -> bool:
    """Whether a document could have this id: JSON and SQLite can hold it whole."""
    try:
        doc_id.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in doc_id
