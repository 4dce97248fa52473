"""An executor that runs all tasks in this process, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator

from indexes.pipeline.executors.base import R, T, Worker


class InlineExecutor:
    """Runs the same tasks as workers do, without any: what is measured or tested against them."""

    is_elsewhere = False

    def run(
        self, setup: Callable[[], Worker[T, R]], tasks: Iterator[T], most: int
    ) -> Generator[R, None, None]:
        """Yield the result of each task; see `Executor.run`."""
        worker = setup()
        for task in tasks:
            yield worker.run(task)
