"""Passages in the catalog: read by key with their documents, checked row by row, and removed."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice, takewhile
from typing import NamedTuple, TypeVar

import numpy as np

from indexes.catalog.document_rows import (
    DOCUMENT,
    check_document,
    check_text,
    document_of,
    passage_text,
)
from indexes.catalog.images import NO_TEXT, Images
from indexes.catalog.origins import Origins
from indexes.catalog.sqlite.database import CHOSEN, Catalog, Row
from indexes.catalog.stale import StalePassages, merged
from indexes.checksums import are_intact_hits, is_intact_passage
from indexes.document import Document
from indexes.images import Image
from indexes.neighbors import NO_KEY, Keys

Read = TypeVar("Read")

# What a batch of passages may hold, unless a single one is longer.
BATCH_CHARACTERS = 8_000_000
# Of up to this many passages, the usual answer to a query, the keys are parameters of a statement,
# one for each number of them; of more, they are one parameter in JSON.
KEYS_BY_NAME = 32

# What a passage has to embed: a text, or the image of its document.
Content = str | Image


@dataclass(frozen=True)
class Passage:
    """A text or an image to embed, and its key: the content of a key never changes."""

    key: int
    content: Content

    @property
    def text(self) -> str:
        """The text; empty for an image."""
        return self.content if isinstance(self.content, str) else ""


class FoundPassage(NamedTuple):
    """A passage and its document; `start` and `end` count characters of the document's text.

    Both are -1 if the passage is the document's image.

    The key is `stale` if it is of an earlier text, which is gone: then the passage is the first one
    of the present text.
    """

    key: int
    document: Document
    start: int
    end: int
    stale: bool = False

    @property
    def text(self) -> str | None:
        """The text that is embedded for it; None for an image."""
        if self.start == NO_TEXT:
            return None
        return passage_text(self.document.title, self.document.text, self.start, self.end)


def _as_stale(key: int, passage: FoundPassage) -> FoundPassage:
    return passage._replace(key=key, stale=True)


class Passages:
    """The passages of a catalog. Methods that write must run inside `catalog.writing()`.

    Every row that is read is compared with its checksum. A damaged row, and a key or a number
    whose row is lost, raise a `DamageError`.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self.stale = StalePassages(catalog)
        self.images = Images(catalog)
        self.origins = Origins(catalog)

    def split(self) -> str:
        """Return the JSON of how documents are split; `null`: one passage for each document."""
        return str(self._catalog.value("SELECT split FROM state"))

    @functools.cached_property
    def is_split(self) -> bool:
        """Whether documents are split: fixed when a collection is created, so read once."""
        return self.split() != "null"

    def has_several(self) -> bool:
        """Return whether a document may answer by several passages, earlier ones included.

        Documents with a text and an image do, also where texts are not split.
        """
        sql = """
            SELECT passages > documents OR EXISTS (
                SELECT 1 FROM stale GROUP BY document, holder HAVING COUNT(*) > 1
            ) FROM state
        """
        return bool(self._catalog.value(sql))

    def count(self) -> int:
        """Return the number of documents."""
        return int(self._catalog.value("SELECT documents FROM state"))

    def count_all_passages(self) -> int:
        """Return the number of passages."""
        return int(self._catalog.value("SELECT passages FROM state"))

    def stop_key(self) -> int:
        """Return the key that the next passage will get; no key before it is ever used again."""
        return int(self._catalog.value("SELECT next_key FROM state"))

    def content(self) -> int:
        """Return the generation in which a document changed last."""
        return int(self._catalog.value("SELECT content FROM state"))

    def tombstones(self) -> Keys:
        """Return the keys of deleted passages that a file may still hold, ascending."""
        rows = self._catalog.rows("SELECT key FROM tombstones ORDER BY key")
        if self._catalog.value("SELECT COUNT(*) FROM tombstones CROSS JOIN passages USING (key)"):
            raise self._catalog.damage("a passage is both live and deleted")
        return np.array(rows, np.int64).reshape(-1)

    def hidden(self, holder: int, left: Sequence[tuple[int, int]]) -> Keys:
        """Return the tombstones without the keys that still answer in a holder; see `stale.py`.

        `left` are the intervals of keys that the holder lacks.
        """
        return self.stale.answering(holder, left).hidden(self.tombstones())

    def count_passages(self, first_key: int, stop_key: int) -> int:
        """Return the number of passages from `first_key` to before `stop_key`."""
        sql = "SELECT COUNT(*) FROM passages WHERE key >= ? AND key < ?"
        return int(self._catalog.value(sql, [first_key, stop_key]))

    def count_texts(self, first_key: int, stop_key: int) -> int:
        """Return `count_passages` without images."""
        if not self.images.exist():
            return self.count_passages(first_key, stop_key)
        sql = "SELECT COUNT(*) FROM passages WHERE key >= ? AND key < ? AND start != ?"
        return int(self._catalog.value(sql, [first_key, stop_key, NO_TEXT]))

    def text_keys(self, first_key: int, stop_key: int) -> Keys:
        """Return the keys of the passages that `count_texts` counts, ascending."""
        sql = "SELECT key FROM passages WHERE key >= ? AND key < ? AND start != ? ORDER BY key"
        rows = self._catalog.stream(sql, [first_key, stop_key, NO_TEXT])
        return np.fromiter((key for (key,) in rows), np.int64)

    def keys(self, first_key: int, stop_key: int) -> Keys:
        """Return the keys of the passages that `count_passages` counts, ascending."""
        sql = "SELECT key FROM passages WHERE key >= ? AND key < ? ORDER BY key"
        rows = self._catalog.stream(sql, [first_key, stop_key])
        return np.fromiter((key for (key,) in rows), np.int64)

    def named(self, passages: Sequence[tuple[str, int | None, int | None]]) -> list[list[int]]:
        """Return the keys of passages by document id and place (start, end) in the text.

        None of an unknown id or place; all keys of the document where no place is given.
        """
        sql = """
            SELECT wanted.key, passages.key FROM json_each(?) AS wanted
            JOIN documents ON doc_id = json_extract(wanted.value, '$[0]')
            JOIN passages USING (document)
            WHERE json_extract(wanted.value, '$[1]') IS NULL OR (
                start = json_extract(wanted.value, '$[1]')
                AND stop = json_extract(wanted.value, '$[2]')
            ) ORDER BY passages.key
        """
        # JSON functions end a text at a NUL, which no id has.
        wanted = [one if "\0" not in one[0] else ("",) for one in passages]
        found: list[list[int]] = [[] for _ in passages]
        for place, key in self._catalog.rows(sql, [json.dumps(wanted)]):
            found[place].append(key)
        return found

    def count_documents(self, gaps: Sequence[tuple[int, int]]) -> int:
        """Return the number of documents with a passage whose key is in one of some intervals."""
        if not self.has_several():
            return sum(self.count_passages(*gap) for gap in gaps)
        sql = """
            SELECT COUNT(DISTINCT document) FROM json_each(?) AS gap JOIN passages
            ON passages.key >= json_extract(gap.value, '$[0]')
            AND passages.key < json_extract(gap.value, '$[1]')
        """
        return int(self._catalog.value(sql, [json.dumps(gaps)]))

    def found(self, keys: Sequence[int]) -> dict[int, FoundPassage]:
        """Return the passages of `keys` with their documents; key -1 is left out."""
        return self._read(keys, self._found_of_split if self.is_split else self._found, _as_stale)

    def _found(self, wanted: Sequence[int]) -> dict[int, FoundPassage]:
        if 0 < len(wanted) <= KEYS_BY_NAME:
            rows = self._catalog.rows(_found_by_name(len(wanted)), wanted)
        else:
            rows = self._wanted(_FOUND.format("json_each(?) AS wanted"), wanted)
        if not are_intact_hits(rows):
            self._check_found(rows)
        images = self.images.of(row[1] for row in rows) if self.images.exist() else {}
        found = {
            key: FoundPassage(key, Document.stored(str(doc_id), text, title, metadata), start, stop)
            for key, _, start, stop, _, _, doc_id, _, metadata, _, title, text in rows
        }
        for key, number, *_ in rows if images else ():
            vars(found[key].document)["image"] = images.get(number)
        return found

    def _check_found(self, rows: Sequence[Row]) -> None:
        """Check rows of `_FOUND` one by one, to name the damaged one."""
        for row in rows:
            self._check_passage(row[:5])
            if row[6] is None:
                raise self._catalog.damage(f"document {row[1]} is lost")
            check_text(self._catalog, row[5:])

    def _found_of_split(self, wanted: Sequence[int]) -> dict[int, FoundPassage]:
        """Twin of `_found` for split documents, by two statements: passages share one text."""
        rows = self._wanted(f"SELECT passages.key, document, start, stop, seal {_WANTED}", wanted)
        for row in rows:
            self._check_passage(row)
        documents = dict(self.documents_with(row[1] for row in rows))
        return {
            key: FoundPassage(key, documents[number], start, stop)
            for key, number, start, stop, _ in rows
        }

    def doc_ids(self, keys: Sequence[int]) -> dict[int, str]:
        """Return the ids of the documents of `keys`, by one statement, without reading any text."""
        return self._read(keys, self._doc_ids)

    def _doc_ids(self, wanted: Sequence[int]) -> dict[int, str]:
        sql = f"""
            SELECT passages.key, document, start, stop, passages.seal,
                   document, doc_id, checksum, metadata, documents.seal
            {_WANTED} JOIN documents USING (document)
        """
        doc_ids = {}
        for row in self._wanted(sql, wanted):
            self._check_passage(row[:5])
            check_document(self._catalog, row[5:])
            doc_ids[row[0]] = row[6]
        return doc_ids

    def _check_passage(self, row: Sequence[object]) -> None:
        if not is_intact_passage(row):
            raise self._catalog.damage(f"passage {row[0]} is not what was committed")

    def owners(self, keys: Keys) -> Keys:
        """Return the document's number of each key (any shape); -1 for key -1."""
        sql = f"SELECT passages.key, document {_WANTED}"
        distinct, place = np.unique(keys, return_inverse=True)

        def read(wanted: Sequence[int]) -> dict[int, int]:
            return dict(self._wanted(sql, wanted))

        documents = self._read(distinct.tolist(), read)
        owners = np.array([documents.get(key, NO_KEY) for key in distinct.tolist()], np.int64)
        return owners[place].reshape(keys.shape)

    def _wanted(self, sql: str, wanted: Sequence[int]) -> list[Row]:
        return self._catalog.rows(sql, [json.dumps(wanted)])

    def _read(
        self,
        keys: Sequence[int],
        read: Callable[[Sequence[int]], dict[int, Read]],
        of_stale: Callable[[int, Read], Read] = lambda key, value: value,
    ) -> dict[int, Read]:
        """Return what `read` returns for distinct keys; key -1 is left out.

        For a stale key, it is read for the first passage of the present text.
        """
        wanted = [key for key in keys if key != NO_KEY]
        found = read(wanted)
        if len(found) < len(wanted):
            rest = [key for key in wanted if key not in found]
            firsts = self.stale.first_passages(rest)
            present = read(list({*firsts.values()}))
            for key in rest:
                if firsts.get(key) not in present:
                    raise self._catalog.damage(f"passage {key} is lost")
                found[key] = of_stale(key, present[firsts[key]])
        return found

    def with_texts(self, numbers: Iterable[int]) -> Iterator[Row]:
        """Yield the rows of some documents with their texts, each checked."""
        sql = f"""
            SELECT {DOCUMENT} FROM documents LEFT JOIN texts USING (document)
            WHERE document IN {CHOSEN}
        """
        lost = set(numbers)
        for row in self._catalog.stream(sql, [json.dumps(sorted(lost))]):
            # Here and not in the caller: the error must leave no open statement behind.
            check_text(self._catalog, row)
            lost.discard(row[0])
            yield row
        if lost:
            raise self._catalog.damage(f"document {min(lost)} is lost")

    def documents_with(self, numbers: Iterable[int]) -> Iterator[tuple[int, Document]]:
        """Yield some documents, each after its number."""
        chosen = set(numbers)
        image = self.images.of(chosen).get
        for row in self.with_texts(chosen):
            yield row[0], document_of(row, image(row[0]))

    def passages(self, first_key: int, stop_key: int, limit: int) -> list[Passage]:
        """Return the first passages from `first_key` to before `stop_key`, in key order.

        At most `limit`, and about `BATCH_CHARACTERS` of text, but always one if there is one.
        Continue with the key after the last one returned.
        """
        sql = """
            SELECT key, document, start, stop, seal FROM passages
            WHERE key >= ? AND key < ? ORDER BY key LIMIT ?
        """
        rows = self._catalog.rows(sql, [first_key, stop_key, limit])
        for row in rows:
            self._check_passage(row)
        rows = rows[: _fitting(stop - start for _, _, start, stop, _ in rows)]
        images = self._images_in(rows)
        stretches = self._stretches([row for row in rows if row[0] not in images])
        # A long title, which precedes each of its passages, can be most of what they hold.
        fitting = _fitting(sum(map(len, stretches.get(row[0], ()))) for row in rows)
        return [
            Passage(key, images.get(key) or passage_text(title, text, 0, len(text)))
            for key, *_ in rows[:fitting]
            for title, text in [stretches.get(key, ("", ""))]
        ]

    def _images_in(self, rows: Sequence[Row]) -> dict[int, Image]:
        """Return the images among some passages, by key."""
        owners = {row[0]: row[1] for row in rows if row[2] == NO_TEXT}
        images = self.images.of(owners.values()) if owners else {}
        if lost := sorted(set(owners.values()) - images.keys()):
            raise self._catalog.damage(f"the image of document {lost[0]} is lost")
        return {key: images[number] for key, number in owners.items()}

    def _stretches(self, rows: Sequence[Row]) -> dict[int, tuple[str, str]]:
        """Return the title and the stretch of text of each of some passages, by key."""
        wanted: dict[int, list[Row]] = {}
        for row in rows:
            wanted.setdefault(row[1], []).append(row)
        stretches = {}
        # One complete text is held at a time: it may be far longer than its passages among these.
        for number, *_, title, text in self.with_texts(wanted):
            for key, _, start, stop, _ in wanted[number]:
                stretches[key] = title, text[start:stop]
        return stretches

    def passages_of(self, documents: Keys) -> tuple[Keys, Keys]:
        """Return all keys of some documents, stale ones too, and each one's document, by key."""
        sql = f"""
            SELECT key, document FROM passages WHERE document IN {CHOSEN}
            UNION SELECT key, document FROM stale WHERE document IN {CHOSEN} ORDER BY key
        """
        rows = self._catalog.rows(sql, [json.dumps(np.unique(documents).tolist())] * 2)
        table = np.array(rows, np.int64).reshape(-1, 2)
        return table[:, 0], table[:, 1]

    def tombstone_passages(self, documents: Sequence[int], *, edited: bool = False) -> int:
        """Remove the passages of documents and keep tombstones for them; return how many.

        Of `edited` documents, they answer until those of the new text can.
        """
        if not documents:
            return 0
        chosen, held = json.dumps(list(documents)), self.stale.held()
        if edited:
            self.stale.note(documents, held)
        else:
            self.stale.forget(documents)
        self._catalog.execute(
            f"""
            WITH held (first_key, stop_key) AS MATERIALIZED (
                SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?)
            )
            INSERT INTO tombstones SELECT key FROM passages WHERE document IN {CHOSEN} AND EXISTS
                (SELECT 1 FROM held WHERE first_key <= key AND key < stop_key)
            """,
            [json.dumps(merged((first, stop) for _, first, stop in held)), chosen],
        )
        return self._catalog.execute(f"DELETE FROM passages WHERE document IN {CHOSEN}", [chosen])


_WANTED = "FROM json_each(?) AS wanted JOIN passages ON passages.key = wanted.value"
_FOUND = f"""
    SELECT passages.key, passages.document, start, stop, passages.seal, {DOCUMENT}
    FROM {{}} JOIN passages ON passages.key = wanted.value
    LEFT JOIN documents USING (document) LEFT JOIN texts USING (document)
"""


@functools.cache
def _found_by_name(count: int) -> str:
    """Return `_FOUND` for `count` keys, each a parameter: SQLite then need not read JSON."""
    rows = ", ".join(["(?)"] * count)
    return f"WITH wanted (value) AS (VALUES {rows}) {_FOUND.format('wanted')}"


def _fitting(lengths: Iterable[int]) -> int:
    """Return how many texts, from the first on, fill a batch: at least one if there is one."""
    totals = accumulate(lengths)
    first = len(list(islice(totals, 1)))
    return first + sum(1 for _ in takewhile(lambda total: total <= BATCH_CHARACTERS, totals))
