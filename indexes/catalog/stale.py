"""Passages of earlier texts of edited documents, which answer until the new text can.

A *holder* has passages in its files: an embedding, under its number, or a BM25 index, under minus
its number. When a document is edited, its passages become tombstones. What a holder has of them is
noted here, in place of what was noted before, unless the holder has not all of them yet. A noted
passage answers as long as the holder lacks a passage of the present text: once that is embedded, it
is hidden without another commit. A deleted document loses its notes at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from indexes.catalog.sqlite.database import CHOSEN, Catalog, Row
from indexes.neighbors import Keys

# Holder, and an interval of keys that it covers: the first one, and the one after the last.
Held = tuple[int, int, int]

_HELD = """
    WITH held (holder, first_key, stop_key) AS MATERIALIZED (
        SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]')
        FROM json_each(?)
    )
"""


@dataclass(frozen=True)
class StaleKeys:
    """Keys of earlier texts that still answer, ascending, and the document of each."""

    keys: Keys
    documents: Keys

    def hidden(self, deleted: Keys) -> Keys:
        """Return the tombstones without these keys, ascending."""
        return np.setdiff1d(deleted, self.keys) if len(self.keys) else deleted

    @property
    def count(self) -> int:
        """Number of documents."""
        return len(np.unique(self.documents))

    def count_in(self, files: Iterable[Keys]) -> int:
        """Count the documents with a key in any of some files' keys, which ascend."""
        there = np.zeros(len(self.keys), np.bool_)
        for keys in files if len(there) else ():
            at = np.searchsorted(keys, self.keys)
            inside = at < len(keys)
            there[inside] |= keys[at[inside]] == self.keys[inside]
        return len(np.unique(self.documents[there]))


class StalePassages:
    """The notes of one catalog. Methods that write must run inside `catalog.writing()`."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def exist(self) -> bool:
        """Return whether there is any note."""
        return bool(self._catalog.value("SELECT EXISTS (SELECT 1 FROM stale)"))

    def answering(self, holder: int, left: Sequence[tuple[int, int]]) -> StaleKeys:
        """Return the passages that answer in a holder; `left` are the keys that it lacks."""
        sql = """
            WITH gap (first_key, stop_key) AS MATERIALIZED (
                SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?)
            )
            SELECT key, document FROM stale WHERE holder = ? AND EXISTS (
                SELECT 1 FROM passages CROSS JOIN gap WHERE passages.document = stale.document
                AND first_key <= passages.key AND passages.key < stop_key
            ) ORDER BY key
        """
        rows = self._catalog.rows(sql, [json.dumps(left), holder])
        table = np.array(rows, np.int64).reshape(-1, 2)
        return StaleKeys(table[:, 0], table[:, 1])

    def first_passages(self, keys: Iterable[int]) -> dict[int, int]:
        """Return the first passage of the present text, for each of some keys that is noted."""
        sql = """
            SELECT stale.key, MIN(passages.key) FROM json_each(?) AS wanted
            JOIN stale ON stale.key = wanted.value JOIN passages USING (document)
            GROUP BY stale.key
        """
        return dict(self._catalog.rows(sql, [json.dumps(list(keys))]))

    def held(self) -> list[Held]:
        """Return the intervals of keys that each holder covers, merged to a few."""
        sql = """
            SELECT embedding, first_key, stop_key FROM shards NOT INDEXED UNION ALL
            SELECT -number, 1, stop_key FROM indexes WHERE kind = 'lexical' AND stop_key > 1
        """
        covered: dict[int, list[Row]] = {}
        for holder, first_key, stop_key in self._catalog.rows(sql):
            covered.setdefault(holder, []).append((first_key, stop_key))
        return [(holder, *one) for holder, some in covered.items() for one in merged(some)]

    def note(self, documents: Sequence[int], held: Sequence[Held]) -> None:
        """Note the passages of documents about to be edited, for each holder that has them."""
        chosen, covered = json.dumps(list(documents)), json.dumps(held)
        # A holder of all passages of this text answers by them, and no more by an earlier one.
        self._catalog.execute(
            f"""
            {_HELD} DELETE FROM stale WHERE document IN {CHOSEN} AND NOT EXISTS (
                SELECT 1 FROM passages WHERE passages.document = stale.document AND NOT EXISTS (
                    SELECT 1 FROM held WHERE held.holder = stale.holder
                    AND first_key <= passages.key AND passages.key < stop_key
                )
            )
            """,
            [covered, chosen],
        )
        self._catalog.execute(
            f"""
            {_HELD} INSERT INTO stale SELECT key, holder, document FROM passages CROSS JOIN held
            WHERE document IN {CHOSEN} AND first_key <= key AND key < stop_key
            """,
            [covered, chosen],
        )

    def forget(self, documents: Sequence[int]) -> None:
        """Forget the notes of deleted documents."""
        chosen = json.dumps(list(documents))
        self._catalog.execute(f"DELETE FROM stale WHERE document IN {CHOSEN}", [chosen])

    def keep_only(self, answering: dict[int, Keys]) -> None:
        """Forget all notes but those of some keys of each holder, and the other tombstones."""
        sql = f"DELETE FROM stale WHERE holder NOT IN {CHOSEN}"
        self._catalog.execute(sql, [json.dumps(list(answering))])
        for holder, keys in answering.items():
            # For pairs of holder and key at once, SQLite would compare every row with every pair.
            sql = f"DELETE FROM stale WHERE holder = ? AND key NOT IN {CHOSEN}"
            self._catalog.execute(sql, [holder, json.dumps(keys.tolist())])
        self._catalog.execute("DELETE FROM tombstones WHERE key NOT IN (SELECT key FROM stale)")


def merged(intervals: Iterable[Row]) -> list[tuple[int, int]]:
    """Return the same integers in as few intervals (first, stop) as possible, ascending."""
    few: list[tuple[int, int]] = []
    for first, stop in sorted(intervals):
        if few and first <= few[-1][1]:
            few[-1] = few[-1][0], max(stop, few[-1][1])
        else:
            few.append((first, stop))
    return few
