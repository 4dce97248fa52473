"""Which searches take less time than to hand them to a thread: the event loop answers these."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

Result = TypeVar("Result")
# Seconds of computing up to which a search is quick. A thread and the loop that hand it to each
# other, and Python's lock, take 0.4 ms, and more when many ask (`benchmarks/service.py`).
QUICK = 0.001
# As many must have been quick, one after the other, in threads, before the loop answers the next.
PROVEN = 3
# A search that keeps the loop for longer, as when a disk is slow, sends the next ones to threads.
STALL = 0.02


class Shape(NamedTuple):
    """What searches that take about as long have in common: collection, index, kind of query."""

    library: str
    index_name: str
    kind: str


class QuickSearches:
    """How long the last searches of each shape took, since the collection changed."""

    def __init__(self) -> None:
        # How many were quick since the last that was not.
        self._quick: dict[Shape, int] = {}

    def are_quick(self, shape: Shape) -> bool:
        """Return whether the next search of a shape may be expected to be quick."""
        return self._quick.get(shape, 0) >= PROVEN

    def here(self, shape: Shape, function: Callable[[], Result | None]) -> Result | None:
        """Return what a search returns, computed in the thread of the caller.

        None says that the collection has changed: there may be files to open and models to load.
        """
        started = time.perf_counter()
        found = function()
        if found is None or time.perf_counter() - started > STALL:
            self._quick.pop(shape, None)
        return found

    def timed(self, shape: Shape, function: Callable[[], Result]) -> Callable[[], Result]:
        """Return a function for another thread, whose time counts for those that follow."""

        def measured() -> Result:
            started = time.thread_time()
            result = function()
            is_quick = time.thread_time() - started <= QUICK
            self._quick[shape] = self._quick.get(shape, 0) + 1 if is_quick else 0
            return result

        return measured
