"""An executor with processes of this machine."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Generic

from indexes.errors import WorkerError
from indexes.pipeline.executors.base import (
    Failure,
    R,
    T,
    TaskQueue,
    Worker,
    attempt,
    environment,
    portable,
)
from indexes.threads import threads

THREADS = "OMP_NUM_THREADS"


@dataclass
class _Process(Generic[T]):
    process: SpawnProcess
    connection: Connection
    task: T | None = None
    is_ready: bool = False


@dataclass(frozen=True)
class ProcessExecutor:
    """Runs tasks in processes of their own, which share the threads of this machine.

    Each is started afresh, not forked: threads and models of this process stay here. If this
    process dies, they finish their tasks, whose shards the next build adopts.
    """

    workers: int
    is_elsewhere = False

    def run(
        self, setup: Callable[[], Worker[T, R]], tasks: Iterator[T], most: int
    ) -> Generator[R, None, None]:
        """Yield the results as they come; see `Executor.run`."""
        queue, count = TaskQueue(tasks), min(self.workers, max(most, 1))
        workers: list[_Process[T]] = [self._start(setup) for _ in range(count)]
        try:
            while workers:
                queue.read_ahead()
                for ready in wait([worker.connection for worker in workers]):
                    worker = next(one for one in workers if one.connection is ready)
                    result: R | None = self._received(worker, queue)
                    if worker.process.exitcode is None:
                        if not self._give(worker, queue):
                            workers.remove(worker)
                            _end(worker)
                    else:
                        workers.remove(worker)
                        _end(worker)
                        workers.append(self._start(setup))
                    if result is not None:
                        yield result
        finally:
            for worker in workers:
                _end(worker, now=True)

    def _start(self, setup: Callable[[], Worker[T, R]]) -> _Process[T]:
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        process = context.Process(
            target=_work, args=(there, setup), name="retriever-worker", daemon=True
        )
        with environment({THREADS: str(max(1, threads() // self.workers))}):
            process.start()
        there.close()
        return _Process(process, here)

    def _received(self, worker: _Process[T], queue: TaskQueue[T]) -> R | None:
        """Return the result that a worker sent; None if it is only ready, or dead."""
        try:
            message: R | Failure | None = worker.connection.recv()
        except (EOFError, OSError):
            worker.process.join()
            why = _how_it_ended(worker.process.exitcode)
            if not worker.is_ready:
                raise WorkerError(
                    f"A worker process could not start ({why}). In a script, what builds has to "
                    "be inside `if __name__ == '__main__':`, since workers import it."
                ) from None
            if worker.task is not None:
                queue.give_back(worker.task, why)
            return None
        if isinstance(message, Failure):
            raise message.error
        worker.is_ready, worker.task = True, None
        return message

    def _give(self, worker: _Process[T], queue: TaskQueue[T]) -> bool:
        """Give a worker the next task; return whether there was one."""
        worker.task = queue.take()
        if worker.task is None:
            return False
        with contextlib.suppress(OSError):  # it has died: noticed when its end is read
            worker.connection.send(worker.task)
        return True


def _work(connection: Connection, setup: Callable[[], Worker[T, R]]) -> None:
    """Run the tasks that come through a connection, until its other end is closed."""
    # Ctrl-C is for the process that builds: it ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(EOFError, OSError):  # the other process is gone
        try:
            worker = setup()
        except Exception as error:
            connection.send(Failure(portable(error)))
            return
        connection.send(None)
        while True:
            connection.send(attempt(worker, connection.recv()))


def _end(worker: _Process[T], *, now: bool = False) -> None:
    """End a worker; one that has nothing to do ends by itself."""
    worker.connection.close()
    if now:
        worker.process.kill()
    worker.process.join()


def _how_it_ended(status: int | None) -> str:
    if status is not None and status < 0:
        return f"ended by signal {signal.Signals(-status).name}"
    return f"ended with status {status}"
