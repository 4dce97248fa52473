"""The embedding job: passages without a vector are read, encoded, and handed over for a commit."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from indexes.catalog.corpus import Corpus
from indexes.catalog.passages import Passage
from indexes.catalog.records import EmbeddingRow
from indexes.errors import FailedText, RetrieverError
from indexes.pipeline.background import BackgroundWorker
from indexes.pipeline.encoder import Batch, EncodedBatch, Encoding, FailedPassage
from indexes.progress import PEAK_MEMORY, Peak, Progress
from indexes.vectors.shards import ShardDraft

# An interval of keys: the first one, and the one after the last.
Gap = tuple[int, int]
# A shard to write, and the key before which it ends.
Draft = tuple[ShardDraft, int]

# If a batch takes at least this long, the next one is encoded in the background. A faster embedder
# would gain nothing: it is mostly in Python, and one thread at a time has the interpreter.
BACKGROUND_SECONDS = 0.25


@dataclass(frozen=True)
class EmbeddingResult:
    """The number of passages that a call embedded, and the documents that it could not embed.

    `failed_passages` of theirs have no vector; `unbuilt` is why there is no index over the others.
    """

    count: int = 0
    failed: tuple[FailedText, ...] = ()
    failed_passages: int = 0
    unbuilt: RetrieverError | None = None


@dataclass(frozen=True)
class BatchSchedule:
    """How many texts are encoded at once, and how much is done between two commits.

    Batches grow or shrink to take `seconds` each, from `first` texts to at most `largest`. A commit
    is due after `commit_seconds`, or `commit_bytes` of vectors.
    """

    first: int
    largest: int
    seconds: float
    commit_seconds: float
    commit_bytes: int

    def next_size(self, size: int, seconds: float) -> int:
        """Return the batch size that fits the speed just measured, grown by steps."""
        fitting = int(size * self.seconds / max(seconds, 1e-3))
        return max(1, self.first // 2, min(fitting, 4 * size, self.largest))

    def is_commit_due(self, size: int, seconds: float) -> bool:
        """Return whether `size` bytes of vectors, the oldest `seconds` old, are to be committed."""
        return size >= self.commit_bytes or seconds >= self.commit_seconds


class EncodedBatches:
    """Passages of some intervals of keys, read and encoded batch by batch."""

    def __init__(self, corpus: Corpus, encoding: Encoding, pace: BatchSchedule) -> None:
        self._corpus, self._encoding, self._pace = corpus, encoding, pace
        self._size, self._most = pace.first, pace.largest

    def encode(
        self, todo: Sequence[Gap], threads: contextlib.ExitStack
    ) -> Iterator[tuple[Gap, Batch]]:
        """Yield batches in key order; a slow embedder encodes the next one while the caller works.

        It does so in a thread that ends with `threads`. At most one batch waits to be encoded, and
        one for the caller.
        """
        worker: BackgroundWorker[Batch] | None = None
        read, in_background = self._read(todo), False
        current = next(read, None)
        while current:
            following = next(read, None) if in_background else None
            if worker and in_background:
                batch = worker.result()
            else:
                batch = self._encoding.batch(current[1])
            self._most = min(self._most, batch.most or self._most)
            self._size = min(self._pace.next_size(len(current[1]), batch.seconds), self._most)
            if not in_background:
                following = next(read, None)
            in_background = batch.seconds >= BACKGROUND_SECONDS and batch.error is None
            if in_background and following:
                worker = worker or threads.enter_context(BackgroundWorker("encoding"))
                worker.submit(partial(self._encoding.batch, following[1]))
            yield current[0], batch
            current = following
            del batch  # its memory is for the next one

    def _read(self, todo: Sequence[Gap]) -> Iterator[tuple[Gap, Sequence[Passage]]]:
        for gap in todo:
            position, stop_key = gap
            while passages := self._corpus.passages(position, stop_key, self._size):
                position = passages[-1].key + 1
                yield gap, passages


class Drafts:
    """Shards that are being filled, in key order.

    Each covers all keys of an interval. So one ends before a passage that failed, and the next
    begins after it: no shard covers that passage, and the next call tries it again.
    """

    def __init__(self, embedding: EmbeddingRow) -> None:
        self._embedding = embedding
        self._open = ShardDraft(embedding, 1)
        self._ended: list[Draft] = []
        self._ended_bytes = 0

    @property
    def size(self) -> int:
        """Bytes of vectors."""
        return self._open.size + self._ended_bytes

    def add(self, part: EncodedBatch, memory: int) -> None:
        """Add vectors, and the memory that the process held when they were made."""
        report = {**part.report, PEAK_MEMORY: memory}
        self._open.append(part.keys, part.vectors, seconds=part.seconds, report=report)

    def end(self, stop_key: int, next_key: int) -> None:
        """Let the open shard cover all keys before `stop_key`; begin one at `next_key`."""
        if self._open.texts:
            self._ended.append((self._open, stop_key))
            self._ended_bytes += self._open.size
        self._open = ShardDraft(self._embedding, next_key)

    def take(self) -> list[Draft]:
        """Return the shards that are ready to be written, and release them."""
        ended, self._ended, self._ended_bytes = self._ended, [], 0
        return ended


class EmbeddingJob:
    """Embeds the passages of some intervals of keys.

    Only `commit`, which writes the shards of `Drafts`, changes the catalog. So a task `(embedder
    spec, interval of keys) -> shard` could run in another process or on another machine, and be
    committed here. Afterwards, `embedded` is the number of passages embedded, and `failed` those
    that could not be.
    """

    def __init__(
        self,
        corpus: Corpus,
        encoding: Encoding,
        drafts: Drafts,
        pace: BatchSchedule,
        commit: Callable[[Sequence[Draft]], None],
    ) -> None:
        self._corpus, self._encoding, self._drafts = corpus, encoding, drafts
        self._pace, self._commit, self._committed = pace, commit, time.monotonic()
        # The interval that is being embedded, and the key up to which it is done.
        self._gap, self._position = (1, 1), 1
        self.embedded = 0
        self.failed: list[FailedPassage] = []

    def run(self, todo: Sequence[Gap], progress: Progress) -> None:
        """Embed all passages of some intervals, in their order, up to an error; call it once."""
        total = sum(self._corpus.count_passages(*gap) for gap in todo)
        batches = EncodedBatches(self._corpus, self._encoding, self._pace)
        with Peak() as peak, contextlib.ExitStack() as threads:
            for gap, batch in batches.encode(todo, threads):
                self._enter(gap)
                self._add(batch, peak)
                if batch.error is not None:
                    self._write()
                    raise batch.error
                del batch
                progress(self.embedded + len(self.failed), total)
            self._enter((self._gap[1], self._gap[1]))
            self._write()
        self._encoding.finish()

    def _enter(self, gap: Gap) -> None:
        """Leave one interval, which is covered completely, for the next."""
        if gap != self._gap:
            self._drafts.end(self._gap[1], gap[0])
            self._gap, self._position = gap, gap[0]

    def _add(self, batch: Batch, peak: Peak) -> None:
        for outcome in batch.outcomes:
            if isinstance(outcome, EncodedBatch):
                self._drafts.add(outcome, peak.bytes)
                self.embedded += len(outcome.keys)
            else:
                self._drafts.end(outcome.key, outcome.key + 1)
                self.failed.append(outcome)
        self._position = batch.stop_key or self._position
        if self._pace.is_commit_due(self._drafts.size, time.monotonic() - self._committed):
            self._write()

    def _write(self) -> None:
        """Write and commit all that was added."""
        self._drafts.end(self._position, self._position)
        if ended := self._drafts.take():
            self._commit(ended)
        self._committed = time.monotonic()
