"""Passages of an embedding without a vector become shards: read, encoded, written, committed.

Where encoding takes its time, it is done in a thread of its own: the batch before is written
meanwhile, and the next one read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from indexes.catalog.corpus import Corpus
from indexes.catalog.passages import Passage
from indexes.catalog.records import EmbeddingRow
from indexes.errors import FailedText, RetrieverError
from indexes.pipeline.background import BackgroundWorker
from indexes.pipeline.encoder import Batch, EncodedBatch, FailedPassage, FaultTolerantEncoder
from indexes.storage.memory import Peak
from indexes.vectors.shards import PEAK, ShardDraft

# Called with how many passages are done, and how many there are in all.
Progress = Callable[[int, int], None]
# An interval of keys: the first one, and the one after the last.
Gap = tuple[int, int]
# What will be a shard, and the key before which it ends.
Draft = tuple[ShardDraft, int]

# From so many seconds a batch on, the next one is encoded in another thread. A faster embedder
# would gain nothing: it is most often in Python, and one thread at a time has the interpreter.
BESIDE_SECONDS = 0.25

# What a report calls the most memory that the process held.
PEAK_MEMORY = f"{PEAK}memory"


@dataclass(frozen=True)
class EmbeddingResult:
    """What a call did: how many passages it embedded, and the documents that it could not.

    Of these, `failed_passages` passages have no vector. `unbuilt` is why there is no index over the
    others, where some failed.
    """

    count: int = 0
    failed: tuple[FailedText, ...] = ()
    failed_passages: int = 0
    unbuilt: RetrieverError | None = None


@dataclass(frozen=True)
class BatchSchedule:
    """How many texts are encoded at once, and how much is done between two commits.

    A batch is meant to take `seconds`, from `first` texts on to at most `largest`. Committed is
    after `commit_seconds`, or `commit_bytes` of vectors.
    """

    first: int
    largest: int
    seconds: float
    commit_seconds: float
    commit_bytes: int

    def next_size(self, size: int, seconds: float) -> int:
        """The batch that fits the speed just seen, grown by steps."""
        fitting = int(size * self.seconds / max(seconds, 1e-3))
        return max(1, self.first // 2, min(fitting, 4 * size, self.largest))


class Drafts:
    """Shards that are being filled, in key order.

    Each answers for all keys of an interval. So one ends before a passage that failed, and the next
    begins after it: no shard answers for that passage, and the next call tries it again.
    """

    def __init__(self, embedding: EmbeddingRow) -> None:
        self._embedding = embedding
        self._open = ShardDraft(embedding, 1)
        self._ended: list[Draft] = []
        self._ended_bytes = 0

    @property
    def size(self) -> int:
        """How many bytes of vectors they hold."""
        return self._open.size + self._ended_bytes

    def add(self, part: EncodedBatch, memory: int) -> None:
        """Add vectors, and what the process held when they had been made."""
        report = {**part.report, PEAK_MEMORY: memory}
        self._open.append(part.keys, part.vectors, seconds=part.seconds, report=report)

    def end(self, stop_key: int, next_key: int) -> None:
        """Let the open shard answer for all keys before `stop_key`; begin one at `next_key`."""
        if self._open.texts:
            self._ended.append((self._open, stop_key))
            self._ended_bytes += self._open.size
        self._open = ShardDraft(self._embedding, next_key)

    def take(self) -> list[Draft]:
        """What is ready to be written, and is not held any longer."""
        ended, self._ended, self._ended_bytes = self._ended, [], 0
        return ended


class EmbeddingJob:
    """Embeds the passages of some intervals of keys; `commit` writes drafts, and commits them.

    At most one batch waits to be encoded, and one to be written. Afterwards, `embedded` says how
    many passages have been embedded, and `failed` which could not be.
    """

    def __init__(
        self,
        corpus: Corpus,
        encoding: FaultTolerantEncoder,
        drafts: Drafts,
        pace: BatchSchedule,
        commit: Callable[[Sequence[Draft]], None],
    ) -> None:
        self._corpus, self._encoding, self._drafts = corpus, encoding, drafts
        self._pace, self._commit = pace, commit
        self._size, self._most, self._committed = pace.first, pace.largest, time.monotonic()
        # The interval that is being embedded, and the key up to which this is done.
        self._gap, self._position = (1, 1), 1
        self.embedded = 0
        self.failed: list[FailedPassage] = []

    def run(self, todo: Sequence[Gap], progress: Progress) -> None:
        """Embed all that there is in some intervals, in their order; once.

        Where the embedder fails for good, what it gave until then is committed.
        """
        total = sum(self._corpus.count_passages(*gap) for gap in todo)
        with Peak() as peak, BackgroundWorker[Batch]("encoding") as aside:
            for gap, batch in self._encoded(todo, aside):
                self._enter(gap)
                self._take(batch, peak)
                if batch.error is not None:
                    self._write()
                    raise batch.error
                del batch
                progress(self.embedded + len(self.failed), total)
            self._enter((self._gap[1], self._gap[1]))
            self._write()
        self._encoding.finish()

    def _encoded(
        self, todo: Sequence[Gap], aside: BackgroundWorker[Batch]
    ) -> Iterator[tuple[Gap, Batch]]:
        """Batch after batch; of a slow embedder, the next one is encoded while the caller has one.

        It has been asked for where `beside` is true.
        """
        read, beside = self._read(todo), False
        here = next(read, None)
        while here:
            following = next(read, None) if beside else None
            batch = aside.result() if beside else self._encoding.batch(here[1])
            self._most = min(self._most, batch.most or self._most)
            self._size = min(self._pace.next_size(len(here[1]), batch.seconds), self._most)
            if not beside:
                following = next(read, None)
            beside = batch.seconds >= BESIDE_SECONDS and batch.error is None
            if beside and following:
                aside.submit(partial(self._encoding.batch, following[1]))
            yield here[0], batch
            here = following
            del batch  # taken: its room is for the next one

    def _read(self, todo: Sequence[Gap]) -> Iterator[tuple[Gap, Sequence[Passage]]]:
        for gap in todo:
            position, stop_key = gap
            while passages := self._corpus.passages(position, stop_key, self._size):
                position = passages[-1].key + 1
                yield gap, passages

    def _enter(self, gap: Gap) -> None:
        """Leave one interval, all of which is answered for, for the next."""
        if gap != self._gap:
            self._drafts.end(self._gap[1], gap[0])
            self._gap, self._position = gap, gap[0]

    def _take(self, batch: Batch, peak: Peak) -> None:
        for outcome in batch.outcomes:
            if isinstance(outcome, EncodedBatch):
                self._drafts.add(outcome, peak.bytes)
                self.embedded += len(outcome.keys)
            else:
                self._drafts.end(outcome.key, outcome.key + 1)
                self.failed.append(outcome)
        self._position = batch.stop_key or self._position
        waited = time.monotonic() - self._committed
        if self._drafts.size >= self._pace.commit_bytes or waited >= self._pace.commit_seconds:
            self._write()

    def _write(self) -> None:
        """Write and commit all that has been taken."""
        self._drafts.end(self._position, self._position)
        ended = self._drafts.take()
        if ended:
            self._commit(ended)
        self._committed = time.monotonic()
