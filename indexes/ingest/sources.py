"""Sources of documents: what they are known by, and whether they have changed since last time."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from indexes.catalog.origins import NO_SOURCE, Origins
from indexes.catalog.sqlite.database import Catalog
from indexes.document import Document
from indexes.errors import BadRecord, shown
from indexes.neighbors import Keys

Record = tuple[str, Document | BadRecord]


@dataclass(frozen=True)
class Source:
    """Records, each with its place for messages, and the name of the source (see `origins`).

    `fingerprint` returns what changes with any record, or None if that is not known in advance.
    `reading` is how the records are read, in words of the caller, for the next time; "" for no
    option.
    """

    name: str
    records: Iterable[Record]
    fingerprint: Callable[[], bytes | None] = lambda: None
    reading: str = ""


def new_readings(origins: Origins, sources: Iterable[Source]) -> dict[str, str]:
    """Return how sources are read, by name, where they were read in another way before."""
    given = {one.name: one.reading for one in sources if one.reading}
    known = origins.readings(given) if given else {}
    return {name: reading for name, reading in given.items() if known.get(name) != reading}


def keep_readings(catalog: Catalog, origins: Origins, sources: Iterable[Source]) -> None:
    """Keep how unchanged sources, which are not read, would have been."""
    if new := new_readings(origins, sources):
        with catalog.writing():
            origins.set_readings(new)


class Owners:
    """The sources whose contents count where `source` has others for the same id.

    These are the sources that the collection has known for longer. So it does not matter in which
    order, and in how many calls, sources are brought up to date. `present` are the documents of
    those that this call has read, by name; of others, their members count.
    """

    def __init__(self, source: str, origins: Origins, present: Mapping[str, Keys]) -> None:
        numbers = origins.names()
        own = numbers.get(source)
        self._source, self._present = source, present
        self._members = functools.cache(origins.members)
        # What came without a source is nobody's: its contents are never brought up to date.
        self._names = [
            name
            for name, number in numbers.items()
            if name != NO_SOURCE and (own is None or number < own)
        ]

    def objection(self, doc_id: str, number: int) -> str:
        """Return why the source may not change a document; "" if it may."""
        owner = next((name for name in self._names if self._has(name, number)), None)
        if owner is None:
            return ""
        return (
            f"id '{doc_id}' has other contents in {shown(owner)}, which counts, as it was there "
            f"before {shown(self._source)}"
        )

    def _has(self, name: str, number: int) -> bool:
        numbers = self._present[name] if name in self._present else self._members(name)
        at = int(np.searchsorted(numbers, number))
        return at < len(numbers) and bool(numbers[at] == number)


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
