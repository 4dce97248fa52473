"""The protocol of an executor, and what all of them share.

A task is `(embedder, interval of keys) -> shard file and sidecar`. An executor decides where it
runs, and loses none: one whose worker dies is given to another. It commits nothing.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from typing import Protocol

from indexes.errors import WorkerError
from indexes.pipeline.worker import EmbeddingTask, TaskResult, WorkerSetup

# A task is given up when so many workers have died of it.
ATTEMPTS = 3


class Executor(Protocol):
    """Runs tasks on workers."""

    def run(
        self, setup: WorkerSetup, tasks: Iterator[EmbeddingTask], most: int
    ) -> Generator[TaskResult, None, None]:
        """Yield the result of each task, in any order; closing it ends the workers.

        Tasks are drawn when a worker is free, by the thread of the caller. There are about `most`
        of them, so that more workers would have nothing to do.

        Raises:
            WorkerError: workers cannot start, or the third one has died of a task.
        """


class TaskQueue:
    """Tasks to be given out: those of lost workers first. One is read ahead."""

    def __init__(self, tasks: Iterator[EmbeddingTask]) -> None:
        self._tasks = tasks
        self._waiting: deque[EmbeddingTask] = deque()

    def take(self) -> EmbeddingTask | None:
        """Return the next task; None if none is left."""
        self.read_ahead()
        return self._waiting.popleft() if self._waiting else None

    def read_ahead(self) -> bool:
        """Read a task that no worker waits for yet; return whether there is one."""
        if not self._waiting and (task := next(self._tasks, None)):
            self._waiting.append(task)
        return bool(self._waiting)

    def give_back(self, task: EmbeddingTask, why: str) -> None:
        """Take back the task of a worker that died; it may be the last one."""
        if task.attempt + 1 >= ATTEMPTS:
            raise WorkerError(
                f"{ATTEMPTS} workers have died of the passages with keys {task.first_key:,} to "
                f"{task.stop_key - 1:,} ({why}). Usually the machine has too little memory for "
                "all workers: use fewer. What was committed is kept; run the same again."
            )
        self._waiting.appendleft(task.again())


@contextlib.contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables for the processes that are started inside: libraries read them on import."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
