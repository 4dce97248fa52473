"""Sources added completely: records inserted or updated, and what is gone from them removed."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from indexes.catalog.corpus import Corpus
from indexes.catalog.origins import outside
from indexes.catalog.sqlite.database import Catalog
from indexes.errors import BadRecord, EmptySourceError, shown
from indexes.ingest.batches import KEPT_BAD_RECORDS, IngestBatches
from indexes.ingest.sources import KnownSources, Owners, Source, keep_readings
from indexes.ingest.upsert import Added, Spans, Upsert
from indexes.neighbors import Keys
from indexes.progress import Progress

NONE = np.empty(0, np.int64)


@dataclass
class Sync:
    """One call with all records of some sources; the caller holds the writer's lock.

    Sources are read one after another, in the order in which the collection came to know them. A
    document that is gone from one stays as long as another has it, in this call or before. Where
    contents differ, those count of the source that was known first; see `Owners`. Nothing is
    removed before all are read, and then at once.
    """

    catalog: Catalog
    corpus: Corpus
    spans: Spans | None
    skip_bad: bool
    copy_images: bool
    allow_empty: bool
    progress: Progress
    added: Added = field(default_factory=Added)

    def __post_init__(self) -> None:
        self._known = KnownSources(self.catalog)
        self._present: dict[str, Keys] = {}  # documents of the sources that were read until now
        self._written: set[int] = set()
        self._gone: dict[str, Keys] = {}
        self._complete: list[tuple[bytes | None, bytes | None, int]] = []

    def run(self, sources: Sequence[Source]) -> Added:
        """Add what the sources have, and remove what they have no more.

        Raises:
            BadRecordsError: some records cannot be used and `skip_bad` is false; nothing was
                removed.
            EmptySourceError: a source has no record, but documents; nothing was removed.
        """
        for source in self._in_order(sources):
            fingerprint = source.fingerprint()
            members = self.corpus.origins.members(source.name)
            count = self._known.count(fingerprint)
            if count is None or self._has_written(members):
                count, present = self._read(source, members)
                # Computed again: a file may have been changed while it was read.
                now = None if count is None else source.fingerprint()
            else:
                present, now = members, fingerprint
                keep_readings(self.catalog, self.corpus.origins, [source])
                self._total(Added(unchanged=count))
            self._complete.append((fingerprint, now, count or 0))
            self._present[source.name] = present
        self._remove()
        self._known.remember(self._complete)
        return self.added

    def _in_order(self, sources: Sequence[Source]) -> list[Source]:
        """Return the sources as the collection has known them, and then those that are new."""
        known = self.corpus.origins.names()
        return sorted(sources, key=lambda source: known.get(source.name, math.inf))

    def _has_written(self, members: Keys) -> bool:
        """Return whether this call has changed a document of some source."""
        return bool(self._written) and not self._written.isdisjoint(members.tolist())

    def _read(self, source: Source, members: Keys) -> tuple[int | None, Keys]:
        """Add a source's records; return their number, None if some were bad, and its documents."""
        origins = self.corpus.origins
        owners = Owners(source.name, origins, self._present)
        upsert = Upsert(self.catalog, self.spans, copy_images=self.copy_images, owners=owners)
        ingest = IngestBatches(upsert, [source], origins, self.skip_bad, self.progress)
        present = [NONE]
        for batch in ingest.batches():
            pending = ingest.diff(batch)
            with self.catalog.writing() if pending.writes else contextlib.nullcontext():
                ingest.apply(pending)
            present += [pending.present(), np.array(pending.held, np.int64)]
            self._written.update(pending.written())
        if not ingest.records and len(members) and not self.allow_empty:
            raise EmptySourceError(
                f"{shown(source.name)} has no documents now, and had {len(members):,} before: "
                "nothing was removed. Look at it; if it is right, allow it (--allow-empty)."
            )
        self._total(ingest.added())
        there = np.sort(np.concatenate(present))
        gone = outside(members, there)
        if "" in ingest.bad_ids:
            # Any of those that did not come may be one whose id could not be read.
            self._total(Added(kept=len(gone)))
        else:
            bad = self.corpus.numbers_of(ingest.bad_ids).values()
            gone = outside(gone, np.sort(np.fromiter(bad, np.int64)))
            self._gone[source.name] = gone
            members = outside(members, gone)
        return (None if ingest.total_bad else ingest.records), np.union1d(there, members)

    def _remove(self) -> None:
        """Remove what is gone from its source, and of that from the corpus what no other has."""
        gone = {name: numbers for name, numbers in self._gone.items() if len(numbers)}
        if not gone:
            return
        with self.catalog.writing():
            for name, numbers in gone.items():
                self.corpus.origins.remove(name, numbers)
            left = self.corpus.origins.without(np.concatenate([NONE, *gone.values()]))
            self._total(Added(removed=self.corpus.delete_numbers(left)))

    def _total(self, more: Added) -> None:
        total = self.added
        skipped: tuple[BadRecord, ...] = (*total.skipped, *more.skipped)[:KEPT_BAD_RECORDS]
        self.added = replace(
            total,
            new=total.new + more.new,
            changed=total.changed + more.changed,
            unchanged=total.unchanged + more.unchanged,
            skipped=skipped,
            skipped_total=total.skipped_total + more.skipped_total,
            no_documents=total.no_documents + more.no_documents,
            removed=total.removed + more.removed,
            kept=total.kept + more.kept,
        )
