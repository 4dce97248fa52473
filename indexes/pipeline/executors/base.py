"""The protocol of an executor, and what all of them share.

An executor decides where the tasks of a job run, and loses none: one whose worker dies is given to
another. What a task is, and what comes of it, is the job's: of an interval of keys a shard, or of
something that is sent what a function makes of it (see `indexes.pipeline.calls`). An executor
commits nothing.
"""

from __future__ import annotations

import contextlib
import os
import pickle
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Generic, Protocol, Self, TypeVar

from indexes.errors import RetrieverError, WorkerError

# A task is given up when so many workers have died of it.
ATTEMPTS = 3


@dataclass(frozen=True, kw_only=True)
class Task:
    """A part of a job, which is pickled; its text names it. `attempt` counts lost workers."""

    attempt: int = 0

    def again(self) -> Self:
        """Return the task for another worker."""
        return replace(self, attempt=self.attempt + 1)


T = TypeVar("T", bound=Task)
R = TypeVar("R")
T_contra = TypeVar("T_contra", bound=Task, contravariant=True)
R_co = TypeVar("R_co", covariant=True)


class Worker(Protocol[T_contra, R_co]):
    """Runs tasks, one after the other, with what was loaded once."""

    def run(self, task: T_contra) -> R_co:
        """Return the result of a task, which is pickled and never None."""


class Executor(Protocol):
    """Runs tasks on workers."""

    @property
    def is_elsewhere(self) -> bool:
        """Whether workers have cores that threads of this process cannot use."""

    def run(
        self, setup: Callable[[], Worker[T, R]], tasks: Iterator[T], most: int
    ) -> Generator[R, None, None]:
        """Yield the result of each task, in any order; closing it ends the workers.

        Each worker is what `setup`, which is pickled, returns there. Tasks are drawn when a worker
        is free, by the thread of the caller. There are about `most` of them, so that more workers
        would have nothing to do. An error of a worker is raised here.

        Raises:
            WorkerError: workers cannot start, or the third one has died of a task.
        """


@dataclass(frozen=True)
class Failure:
    """What a worker sends in place of a result: the error that ends the job."""

    error: Exception


def attempt(worker: Worker[T, R], task: T) -> R | Failure:
    """Return the result of a task, or the error that it raised."""
    try:
        return worker.run(task)
    except Exception as error:
        return Failure(portable(error))


def portable(error: Exception) -> Exception:
    """Return an error that another process can read: itself, or one that says the same."""
    try:
        if str(pickle.loads(pickle.dumps(error))) == str(error):
            return error
    except Exception:
        pass
    kind = "" if isinstance(error, RetrieverError) else f"{type(error).__name__}: "
    return RetrieverError(f"{kind}{error}")


class TaskQueue(Generic[T]):
    """Tasks to be given out: those of lost workers first. One is read ahead."""

    def __init__(self, tasks: Iterator[T]) -> None:
        self._tasks = tasks
        self._waiting: deque[T] = deque()

    def take(self) -> T | None:
        """Return the next task; None if none is left."""
        self.read_ahead()
        return self._waiting.popleft() if self._waiting else None

    def read_ahead(self) -> bool:
        """Read a task that no worker waits for yet; return whether there is one."""
        if not self._waiting and (task := next(self._tasks, None)):
            self._waiting.append(task)
        return bool(self._waiting)

    def give_back(self, task: T, why: str) -> None:
        """Take back the task of a worker that died; it may be the last one."""
        if task.attempt + 1 >= ATTEMPTS:
            raise WorkerError(
                f"{ATTEMPTS} workers have died of {task} ({why}). Usually the machine has too "
                "little memory for all workers: use fewer. What was committed is kept; run the "
                "same again."
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
