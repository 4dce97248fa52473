"""Documents and their passages in the catalog: taken in, looked up, removed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from indexes.catalog import Catalog
from indexes.documents import Document, passage_text
from indexes.errors import BadRecord

__all__ = ["Added", "Corpus", "FoundPassage", "Intake", "Passage"]


PAGE = 500


@dataclass(frozen=True)
class Passage:
    """What is embedded: a key, and the text that stands behind it for good."""

    key: int
    text: str


@dataclass(frozen=True)
class FoundPassage:
    """A passage with the document that it comes from; `start` and `end` count its characters."""

    key: int
    document: Document
    start: int
    end: int


@dataclass(frozen=True)
class Added:
    """What a call of `add` did, in documents; `skipped` are the records that it left out."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    skipped: tuple[BadRecord, ...] = ()
    skipped_total: int = 0


class Corpus:
    """The documents of a collection. Methods that write must run inside `catalog.writing()`."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def count(self) -> int:
        """How many documents there are."""
        return int(self._catalog.value("SELECT COUNT(*) FROM documents"))

    def document(self, doc_id: str) -> Document | None:
        """The document of that id, or None."""
        if not _is_possible(doc_id):
            return None
        row = self._catalog.row(
            "SELECT doc_id, title, text, metadata FROM documents WHERE doc_id = ?", [doc_id]
        )
        return _document(*row) if row else None

    def unknown_ids(self, doc_ids: Sequence[str]) -> list[str]:
        """Those of some ids that no document has, in the order given."""
        sql = """
            SELECT value FROM json_each(?)
            WHERE NOT EXISTS (SELECT 1 FROM documents WHERE doc_id = value)
        """
        possible = json.dumps([doc_id for doc_id in doc_ids if _is_possible(doc_id)])
        unknown = {doc_id for (doc_id,) in self._catalog.rows(sql, [possible])}
        return [doc_id for doc_id in doc_ids if doc_id in unknown or not _is_possible(doc_id)]

    def documents(self) -> Iterator[Document]:
        """Every document that there is now, in the order in which they came.

        Read in pages: what is added while somebody iterates does not join.
        """
        sql = """
            SELECT document, doc_id, title, text, metadata FROM documents
            WHERE document > ? AND document < ? ORDER BY document LIMIT ?
        """
        position, stop = 0, _next(self._catalog, "documents")
        while page := self._catalog.rows(sql, [position, stop, PAGE]):
            position = page[-1][0]
            for _, *document in page:
                yield _document(*document)

    def found(self, keys: Sequence[int]) -> dict[int, FoundPassage]:
        """The passages of `keys` with their documents, by one statement; unknown ones left out."""
        sql = """
            SELECT passages.key, start, stop, doc_id, title, text, metadata
            FROM json_each(?) AS wanted JOIN passages ON passages.key = wanted.value
            JOIN documents USING (document)
        """
        return {
            key: FoundPassage(key, _document(*document), start, stop)
            for key, start, stop, *document in self._catalog.rows(sql, [json.dumps(list(keys))])
        }

    def doc_ids(self, keys: Sequence[int]) -> dict[int, str]:
        """The ids of the documents of `keys`, by one statement, without reading any text."""
        sql = """
            SELECT passages.key, doc_id
            FROM json_each(?) AS wanted JOIN passages ON passages.key = wanted.value
            JOIN documents USING (document)
        """
        return dict(self._catalog.rows(sql, [json.dumps(list(keys))]))

    def passages(self, first_key: int, stop_key: int, limit: int) -> list[Passage]:
        """The first `limit` passages from `first_key` to before `stop_key`, in key order."""
        sql = """
            SELECT key, title, text, start, stop FROM passages JOIN documents USING (document)
            WHERE key >= ? AND key < ? ORDER BY key LIMIT ?
        """
        rows = self._catalog.rows(sql, [first_key, stop_key, limit])
        return [Passage(key, passage_text(*document)) for key, *document in rows]

    def count_passages(self, first_key: int, stop_key: int) -> int:
        """How many passages there are from `first_key` to before `stop_key`."""
        sql = "SELECT COUNT(*) FROM passages WHERE key >= ? AND key < ?"
        return int(self._catalog.value(sql, [first_key, stop_key]))

    def stop_key(self) -> int:
        """The key that the next passage will get; every key before it is taken for good."""
        return _next(self._catalog, "passages")

    def tombstones(self) -> list[int]:
        """The keys of passages that are gone but may stand in a shard, in order."""
        return [key for (key,) in self._catalog.rows("SELECT key FROM tombstones ORDER BY key")]

    def delete(self, doc_ids: Sequence[str]) -> int:
        """Remove documents; how many there were."""
        sql = "SELECT document FROM json_each(?) JOIN documents ON doc_id = value"
        found = self._catalog.rows(sql, [json.dumps(list(dict.fromkeys(doc_ids)))])
        self.bury_passages(found)
        self._catalog.execute_many("DELETE FROM documents WHERE document = ?", found)
        return len(found)

    def bury_passages(self, documents: Sequence[Sequence[int]]) -> None:
        """Remove the passages of documents (rows of one number) and remember their keys."""
        self._catalog.execute_many(
            """
            INSERT INTO tombstones SELECT key FROM passages WHERE document = ? AND EXISTS
                (SELECT 1 FROM shards WHERE first_key <= key AND key < stop_key)
            """,
            documents,
        )
        self._catalog.execute_many("DELETE FROM passages WHERE document = ?", documents)


class Intake:
    """One call of `add`: batches of documents go in, an id may come once.

    Ids seen in this call are kept in a temporary table, so that memory does not grow with them.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._corpus = Corpus(catalog)
        self.new = self.changed = self.unchanged = 0
        catalog.execute(
            "CREATE TEMP TABLE IF NOT EXISTS seen"
            " (doc_id TEXT PRIMARY KEY, place TEXT) WITHOUT ROWID"
        )
        catalog.execute("DELETE FROM temp.seen")

    def take(self, batch: Sequence[tuple[str, Document]]) -> list[BadRecord]:
        """Insert or update a batch of (place, document); the records whose id came before."""
        fresh, repeated = self._first_time(batch)
        ids = json.dumps(list(fresh))
        sql = """
            SELECT doc_id, document, checksum, metadata
            FROM json_each(?) JOIN documents ON doc_id = value
        """
        known = {doc_id: rest for doc_id, *rest in self._catalog.rows(sql, [ids])}
        new = self._insert([document for doc_id, document in fresh.items() if doc_id not in known])
        numbers = {document.doc_id: number for number, document in new}
        for doc_id, (number, checksum, metadata) in known.items():
            if self._update(number, fresh[doc_id], checksum, metadata):
                numbers[doc_id] = number
        self._insert_passages([(numbers[i], d) for i, d in fresh.items() if i in numbers])
        return repeated

    def _first_time(
        self, batch: Sequence[tuple[str, Document]]
    ) -> tuple[dict[str, Document], list[BadRecord]]:
        ids = json.dumps([document.doc_id for _, document in batch])
        sql = "SELECT doc_id, place FROM json_each(?) JOIN temp.seen ON doc_id = value"
        places: dict[str, str] = dict(self._catalog.rows(sql, [ids]))
        fresh: dict[str, Document] = {}
        repeated = []
        for place, document in batch:
            if first := places.get(document.doc_id):
                repeated.append(BadRecord(place, f"id '{document.doc_id}' came before, at {first}"))
            else:
                fresh[document.doc_id] = document
                places[document.doc_id] = place
        self._catalog.execute_many(
            "INSERT INTO temp.seen VALUES (?, ?)", [(doc_id, places[doc_id]) for doc_id in fresh]
        )
        return fresh, repeated

    def _insert(self, documents: Sequence[Document]) -> list[tuple[int, Document]]:
        first = _next(self._catalog, "documents")
        numbered = list(enumerate(documents, start=first))
        self._catalog.execute_many(
            "INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?)",
            [
                (number, d.doc_id, d.title, d.text, d.metadata_json(), d.content_checksum())
                for number, d in numbered
            ],
        )
        self.new += len(documents)
        return numbered

    def _insert_passages(self, documents: Sequence[tuple[int, Document]]) -> None:
        self._catalog.execute_many(
            "INSERT INTO passages (document, start, stop) VALUES (?, 0, ?)",
            [(number, len(document.text)) for number, document in documents],
        )

    def _update(self, number: int, document: Document, checksum: bytes, metadata: str) -> bool:
        """Bring a document up to date; whether it needs new passages."""
        new_checksum, new_metadata = document.content_checksum(), document.metadata_json()
        if new_checksum == checksum and new_metadata == metadata:
            self.unchanged += 1
            return False
        self._catalog.execute(
            "UPDATE documents SET title = ?, text = ?, metadata = ?, checksum = ?"
            " WHERE document = ?",
            [document.title, document.text, new_metadata, new_checksum, number],
        )
        self.changed += 1
        if new_checksum == checksum:
            return False
        # A key's text never changes: a changed document gets new keys.
        self._corpus.bury_passages([(number,)])
        return True


def _is_possible(doc_id: str) -> bool:
    """Whether a document could have this id: JSON and SQLite can hold it whole."""
    try:
        doc_id.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in doc_id


def _document(doc_id: str, title: str, text: str, metadata: str) -> Document:
    return Document(doc_id, text, title, json.loads(metadata))


def _next(catalog: Catalog, table: str) -> int:
    row = catalog.row("SELECT seq FROM sqlite_sequence WHERE name = ?", [table])
    return int(row[0]) + 1 if row else 1
