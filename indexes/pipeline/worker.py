"""A worker: turns an interval of keys into a shard with its sidecar, in any process or machine.

A task carries the passages of its interval, which the writer has read. So a worker needs no
catalog: SQLite's log of writes cannot be shared by machines, and a file of each interval would be
written and read once more than a message is. Vectors, which are larger, do not pass through the
writer: a worker writes them into the collection's folder, which all machines share.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from indexes.catalog.passages import Content, Passage
from indexes.catalog.records import EmbeddingRow, ShardRow
from indexes.errors import CollectionError
from indexes.pipeline.adoption import covering
from indexes.pipeline.embedding_job import Drafts
from indexes.pipeline.encoder import Encode, EncodedBatch, FailedPassage, fault_tolerant
from indexes.pipeline.executors.base import Task, portable
from indexes.progress import Peak
from indexes.vectors.sidecars import stem_of, write_sidecar


@dataclass(frozen=True)
class WorkerSetup:
    """What a worker needs once: the collection's folder, and what encodes. All of it is pickled."""

    folder: Path
    embedding: EmbeddingRow
    load: Callable[[], Encode]
    known_good: Content | None = None

    def __call__(self) -> EmbeddingWorker:
        """Load the embedder, and return what embeds with it."""
        return EmbeddingWorker(self)


@dataclass(frozen=True)
class EmbeddingTask(Task):
    """An interval of keys, and all of its passages."""

    first_key: int
    stop_key: int
    passages: Sequence[Passage]

    def __str__(self) -> str:
        return f"the passages with keys {self.first_key:,} to {self.stop_key - 1:,}"


@dataclass(frozen=True)
class TaskResult:
    """The shards of a task, without numbers, in key order.

    With an `error`, which is not about single texts, they end before that.
    """

    passages: int
    shards: Sequence[ShardRow] = ()
    failed: Sequence[FailedPassage] = ()
    error: Exception | None = None


class EmbeddingWorker:
    """Embeds tasks, one after the other, with a model that is loaded once."""

    def __init__(self, setup: WorkerSetup) -> None:
        self._folder, self._embedding = setup.folder, setup.embedding
        if not setup.folder.is_dir():
            raise CollectionError(
                f"A worker does not see {setup.folder}/. Workers write vectors into the "
                "collection's folder: share it with all machines, under the same path."
            )
        self._encoder = fault_tolerant(setup.embedding, setup.load(), setup.known_good)

    def run(self, task: EmbeddingTask) -> TaskResult:
        """Embed the passages of a task; whatever goes wrong is in the result."""
        try:
            if task.attempt and (found := self._finished(task)):
                return TaskResult(len(task.passages), found)
            return self._embedded(task)
        except Exception as error:
            return TaskResult(0, error=portable(error))

    def _finished(self, task: EmbeddingTask) -> list[ShardRow]:
        """Return the shards that a worker wrote and could not report; none if it did not."""
        return covering(self._folder, self._embedding.number, task.first_key, task.stop_key)

    def _embedded(self, task: EmbeddingTask) -> TaskResult:
        drafts, failed, position = Drafts(self._embedding), list[FailedPassage](), task.first_key
        drafts.end(task.first_key, task.first_key)
        with Peak() as peak:
            batch = self._encoder.batch(task.passages)
            error = batch.error or self._end()
            for outcome in batch.outcomes:
                if isinstance(outcome, EncodedBatch):
                    drafts.add(outcome, peak.bytes)
                else:
                    drafts.end(outcome.key, outcome.key + 1)
                    failed.append(outcome)
            position = batch.stop_key or position
            drafts.end(task.stop_key if error is None else position, task.stop_key)
        shards, embedded = list[ShardRow](), 0
        for draft, stop_key in drafts.take():
            # Two workers may have the same task, if one was taken for lost.
            stem = stem_of(task.first_key, stop_key, uuid.uuid4().hex)
            shards.append(draft.write(0, stop_key, self._folder, stem))
            write_sidecar(shards[-1], self._embedding, self._folder, stem)
            embedded += draft.texts
        return TaskResult(embedded, shards, failed, None if error is None else portable(error))

    def _end(self) -> Exception | None:
        try:
            self._encoder.finish()
        except Exception as error:
            return error
        return None
