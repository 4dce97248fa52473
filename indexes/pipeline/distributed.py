"""The embedding job with workers: intervals of keys are read here, embedded there, committed here.

An interval has a fixed number of passages, whoever embeds it: so every executor, with any number
of workers, makes the same shards, also when some were lost on the way.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from indexes.catalog.corpus import Corpus
from indexes.catalog.passages import Passage
from indexes.catalog.records import ShardRow
from indexes.errors import CollectionError
from indexes.images import Image
from indexes.pipeline.embedding_job import Gap
from indexes.pipeline.encoder import Encode, FailedPassage
from indexes.pipeline.executors.base import Executor
from indexes.pipeline.worker import EmbeddingTask, TaskResult, WorkerSetup
from indexes.progress import Progress
from indexes.storage.files import size_of


@dataclass(frozen=True)
class Workers:
    """Who embeds. `load` returns how each worker loads the embedder, and the passages of a task.

    It is called only if there is something to embed.
    """

    executor: Executor
    load: Callable[[], tuple[Callable[[], Encode], int]]


class DistributedJob:
    """Embeds the passages of some intervals of keys with workers; as `EmbeddingJob`."""

    def __init__(
        self,
        corpus: Corpus,
        setup: WorkerSetup,
        executor: Executor,
        passages: int,
        commit_seconds: float,
        commit: Callable[[Sequence[ShardRow]], None],
    ) -> None:
        self._corpus, self._setup = corpus, setup
        self._executor, self._passages = executor, passages
        self._commit, self._commit_seconds = commit, commit_seconds
        self._waiting: list[ShardRow] = []
        self._committed = time.monotonic()
        self.embedded = 0
        self.failed: list[FailedPassage] = []

    def run(self, todo: Sequence[Gap], progress: Progress) -> None:
        """Embed all passages of some intervals, up to an error; what is done is committed."""
        total = sum(self._corpus.count_passages(*gap) for gap in todo)
        most = -(-total // self._passages)
        results = self._executor.run(self._setup, self._tasks(todo), most)
        try:
            with contextlib.closing(results):
                for result in results:
                    self._add(result)
                    if result.error is not None:
                        raise result.error
                    progress(self.embedded + len(self.failed), total)
        finally:
            self._write()
        self.failed.sort(key=lambda passage: passage.key)

    def _add(self, result: TaskResult) -> None:
        self._waiting += result.shards
        self.failed += result.failed
        self.embedded += result.passages
        if time.monotonic() - self._committed >= self._commit_seconds:
            self._write()

    def _write(self) -> None:
        """Commit the shards that workers have reported."""
        shards, self._waiting = self._waiting, []
        for shard in shards:
            check_shared(self._setup.folder, shard)
        if shards:
            self._commit(shards)
        self._committed = time.monotonic()

    def _tasks(self, todo: Sequence[Gap]) -> Iterator[EmbeddingTask]:
        """Yield the tasks, in key order; each is read when it is needed."""
        for gap in todo:
            first_key, stop_key = gap
            passages = self._read(first_key, stop_key)
            while passages:
                after = passages[-1].key + 1
                following = self._read(after, stop_key)
                yield EmbeddingTask(first_key, after if following else stop_key, passages)
                first_key, passages = after, following

    def _read(self, first_key: int, stop_key: int) -> list[Passage]:
        passages = self._corpus.passages(first_key, stop_key, self._passages)
        return [_portable(passage) for passage in passages]


def _portable(passage: Passage) -> Passage:
    """Return a passage that a machine can embed which does not see the file of its image."""
    image = passage.content
    if isinstance(image, str) or image.data is not None:
        return passage
    with contextlib.suppress(Exception):  # the worker says what is wrong with the file
        return replace(passage, content=Image(image.source, image.checksum, data=image.read()))
    return passage


def check_shared(folder: Path, shard: ShardRow) -> None:
    """Raise a CollectionError if a worker's file is not here: then its folder is another one."""
    if shard.file is not None and size_of(folder / shard.file) != shard.digest.size:
        raise CollectionError(
            f"A worker has written {shard.file}, which is not in {folder}/ here. Workers write "
            "vectors into the collection's folder: share it with all machines, under one path."
        )
