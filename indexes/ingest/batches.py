"""The records of sources, read and committed in batches of a few seconds."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np

from indexes.catalog.origins import Origins, outside
from indexes.document import Document
from indexes.errors import BadRecord, BadRecordsError, SkippedFile
from indexes.ingest.sources import Record, Source, new_readings
from indexes.ingest.upsert import Added, PendingChanges, Upsert
from indexes.neighbors import Keys
from indexes.progress import Progress

# A batch ends with whichever comes first.
COMMIT_SECONDS = 2.0
BATCH_RECORDS = 10_000
BATCH_CHARACTERS = 16 << 20

KEPT_BAD_RECORDS = 1_000


@dataclass
class IngestBatches:
    """Incoming records of sources; bad ones are counted, and the first of them kept.

    So are files that are no documents (`SkippedFile`), which are not bad.

    Unless `skip_bad`, nothing is added from the batch of the first bad record on: the rest is only
    read, to report all bad records.
    """

    upsert: Upsert
    sources: Sequence[Source]
    origins: Origins
    skip_bad: bool
    progress: Progress
    count: int = 0
    kept: int = 0
    total_bad: int = 0
    bad: list[BadRecord] = field(default_factory=list)
    total_skipped: int = 0
    skipped: list[SkippedFile] = field(default_factory=list)
    bad_ids: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._members: dict[str, Keys] = {}
        # Where the records of each source start, and its name.
        self._starts: list[tuple[int, str]] = []
        self._read = 0
        self._records = self._chained()

    def _chained(self) -> Iterator[Record]:
        for source in self.sources:
            self._starts.append((self._read, source.name))
            for record in source.records:
                self._read += 1
                yield record

    def batches(self) -> Iterator[list[Record]]:
        """Yield the records, in batches of one commit each; at the end, raise for bad ones."""
        while batch := self._gather():
            yield batch
            self.count += len(batch)
            self.progress(self.count, 0)
        if self._refuses:
            advice = "Fix them, or skip bad records (--skip-bad, skip_bad=True)."
            raise BadRecordsError(self.bad, self.total_bad, kept=self.kept, advice=advice)

    def _gather(self) -> list[Record]:
        batch: list[Record] = []
        characters, until = 0, time.monotonic() + COMMIT_SECONDS
        for item in self._records:
            # The item itself: another tuple for each would double the garbage collector's work.
            batch.append(item)
            if isinstance(item[1], Document):
                characters += len(item[1].text) + _bytes_held(item[1])
            full = len(batch) >= BATCH_RECORDS or characters >= BATCH_CHARACTERS
            if full or time.monotonic() >= until:
                break
        return batch

    def diff(self, batch: list[Record]) -> PendingChanges:
        """Return what a batch would change; nothing, once a record was bad and none is skipped."""
        others = [record for _, record in batch if isinstance(record, BadRecord)]
        good = [item for item in batch if isinstance(item[1], Document)] if others else batch
        bad = [record for record in others if not isinstance(record, SkippedFile)]
        self._skip([record for record in others if isinstance(record, SkippedFile)])
        pending = self.upsert.diff(cast(list[tuple[str, Document]], good))
        bad += pending.bad
        self.total_bad += len(bad)
        self.bad_ids += [record.doc_id for record in bad]
        self.bad += bad[: KEPT_BAD_RECORDS - len(self.bad)]
        if not self._refuses:
            names = {name for _, name in self._starts}
            begun = (source for source in self.sources if source.name in names)
            readings = new_readings(self.origins, begun)
            return replace(pending, joins=self._joins(batch, pending), readings=readings)
        self.upsert.skip(pending)
        return PendingChanges()

    def _skip(self, files: list[SkippedFile]) -> None:
        self.total_skipped += len(files)
        self.skipped += files[: KEPT_BAD_RECORDS - len(self.skipped)]

    def _joins(self, batch: Sequence[Record], pending: PendingChanges) -> dict[str, Keys]:
        """Return the numbers of documents that are not yet members of the source they came from."""
        present = np.concatenate([pending.present(), np.array(pending.held, np.int64)])
        ends = [start for start, _ in self._starts[1:]] + [self._read]
        joins: dict[str, Keys] = {}
        for (start, name), end in zip(self._starts, ends, strict=True):
            numbers = present
            if len(self._starts) > 1:
                numbers = self._numbers(
                    batch[max(0, start - self.count) : end - self.count], pending
                )
            if name not in self._members:
                self._members[name] = self.origins.members(name)
            new = outside(np.sort(numbers), self._members[name])
            if len(new):
                joins[name] = np.union1d(joins[name], new) if name in joins else new
        # Sources that ended before the next batch.
        del self._starts[:-1]
        return joins

    def _numbers(self, records: Sequence[Record], pending: PendingChanges) -> Keys:
        numbers = dict(zip(pending.doc_ids, pending.present().tolist(), strict=True))
        ids = [one.doc_id for _, one in records if isinstance(one, Document)]
        return np.array([numbers[doc_id] for doc_id in ids if doc_id in numbers], np.int64)

    def apply(self, pending: PendingChanges) -> None:
        """Write pending changes; inside a transaction if there are any."""
        self.upsert.apply(pending)
        if not self._refuses:
            self.kept += len(pending.doc_ids)

    @property
    def records(self) -> int:
        """Number of records read, without files that are no documents."""
        return self.count - self.total_skipped

    @property
    def _refuses(self) -> bool:
        return bool(self.total_bad) and not self.skip_bad

    def added(self) -> Added:
        """Return what the call did."""
        upsert = self.upsert
        skipped, total = (*self.bad, *self.skipped), self.total_bad + self.total_skipped
        return Added(
            *(upsert.new, upsert.changed, upsert.unchanged, skipped, total),
            no_documents=self.total_skipped,
        )


def _bytes_held(document: Document) -> int:
    """Return the bytes of a document's image in memory."""
    image = document.image
    return 0 if image is None or image.data is None else len(image.data)
