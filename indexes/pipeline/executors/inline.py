"""An executor that runs all tasks in this process, one after the other."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from indexes.pipeline.worker import EmbeddingTask, EmbeddingWorker, TaskResult, WorkerSetup


class InlineExecutor:
    """Runs the same tasks as workers do, without any: what is measured or tested against them."""

    def run(
        self, setup: WorkerSetup, tasks: Iterator[EmbeddingTask], most: int
    ) -> Generator[TaskResult, None, None]:
        """Yield the result of each task; see `Executor.run`."""
        worker = EmbeddingWorker(setup)
        for task in tasks:
            yield worker.run(task)
