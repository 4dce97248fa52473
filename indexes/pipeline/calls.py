"""Calls of a function by workers: each argument is sent to one, and the result comes back.

Nothing is written on the way, so that nothing is left by one that is killed: for results that are
much smaller than the work, and that whoever asked keeps, such as counts of words, codes of vectors
and a teacher's vectors of some texts.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from indexes.pipeline.executors.base import Executor, Task

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True)
class Call(Task):
    """An argument, by its number; `what` all arguments are parts of."""

    number: int
    argument: Any
    what: str

    def __str__(self) -> str:
        return f"part {self.number + 1:,} of {self.what}"


@dataclass(frozen=True)
class Caller(Generic[A, B]):
    """A worker that calls a function, which `load` returns there."""

    load: Callable[[], Callable[[A], B]]

    def __call__(self) -> _Calling[A, B]:
        """Load the function."""
        return _Calling(self.load())


@dataclass(frozen=True)
class _Calling(Generic[A, B]):
    function: Callable[[A], B]

    def run(self, task: Call) -> tuple[int, B]:
        """Return the number of a call, and its result."""
        return task.number, self.function(task.argument)


def mapped(
    executor: Executor,
    load: Callable[[], Callable[[A], B]],
    arguments: Iterator[A],
    *,
    what: str,
    most: int,
) -> Generator[B, None, None]:
    """Yield what a function makes of each argument, in their order; closing it ends the workers.

    Arguments are drawn when a worker is free, about `most` of them. Results that came before their
    turn wait here. See `Executor.run` for errors.
    """
    tasks = (Call(number, argument, what) for number, argument in enumerate(arguments))
    early, turn = dict[int, B](), 0
    results = executor.run(Caller(load), tasks, most)
    with contextlib.closing(results):
        for number, result in results:
            early[number] = result
            while turn in early:
                yield early.pop(turn)
                turn += 1
