"""Sources of documents: what they are known by, and whether they have changed since last time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from indexes.catalog.database import Catalog
from indexes.document import Document
from indexes.errors import BadRecord

Record = tuple[str, Document | BadRecord]


@dataclass(frozen=True)
class Source:
    """Records, each with its place for messages, and the name of the source (see `origins`).

    `fingerprint` returns what changes with any record, or None if that is not known in advance.
    """

    name: str
    records: Iterable[Record]
    fingerprint: Callable[[], bytes | None] = lambda: None


class KnownSources:
    """The fingerprints of sources that were added completely.

    As long as no document has changed since, the same fingerprint brings nothing new.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        with catalog.reading():
            self._content = catalog.value("SELECT content FROM state")

    def count(self, fingerprint: bytes | None) -> int | None:
        """Return how many documents a source had, if nothing had changed since at the start."""
        sql = "SELECT documents FROM sources WHERE fingerprint = ? AND content = ?"
        with self._catalog.reading():
            row = self._catalog.row(sql, [fingerprint, self._content])
        return int(row[0]) if row else None

    def remember(self, counts: Iterable[tuple[bytes | None, bytes | None, int]]) -> None:
        """Remember sources by their fingerprints before and after they were read, and counts.

        One that was changed while it was read is not remembered.
        """
        rows = [(one, count) for one, now, count in counts if one is not None and one == now]
        present = "SELECT fingerprint FROM sources, state WHERE sources.content = state.content"
        with self._catalog.reading():
            known = {bytes(one) for (one,) in self._catalog.rows(present)}
        if all(one in known for one, _ in rows):
            return
        with self._catalog.writing():
            self._catalog.execute("DELETE FROM sources WHERE content < (SELECT content FROM state)")
            sql = "INSERT OR REPLACE INTO sources SELECT ?, content, ? FROM state"
            self._catalog.execute_many(sql, rows)
