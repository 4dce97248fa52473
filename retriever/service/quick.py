"""Which searches take less time than to hand them to a thread: the event loop answers these."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

Result = TypeVar("Result")
# A search is quick that computes for so many seconds at most. To hand one to a thread and back
# takes 0.4 ms, and more when many ask (`benchmarks/service.py`).
QUICK = 0.001
# At least one of them takes so many by the clock: others may wait for Python's lock, but if all of
# them take longer, they wait for a server.
BRIEF = 0.002
# As many must have been quick, one after the other, in threads, before the loop answers the next.
PROVEN = 3
# A search that keeps the loop for longer, as when a disk is slow, sends the next ones to threads.
STALL = 0.02


class Shape(NamedTuple):
    """What searches that take about as long have in common: collection, index, kind of query."""

    library: str
    index_name: str
    kind: str


@dataclass
class _Times:
    """How many searches were quick since the last that was not, and the least seconds they took."""

    quick: int = 0
    least: float = math.inf


class QuickSearches:
    """How long the last searches of each shape took, since the collection changed."""

    def __init__(self) -> None:
        self._times: dict[Shape, _Times] = {}

    def are_quick(self, shape: Shape) -> bool:
        """Return whether the next search of a shape may be expected to be quick."""
        times = self._times.get(shape)
        return times is not None and times.quick >= PROVEN and times.least <= BRIEF

    def here(self, shape: Shape, function: Callable[[], Result | None]) -> Result | None:
        """Return what a search returns, computed in the thread of the caller.

        None says that the collection has changed: there may be files to open and models to load.
        """
        started = time.perf_counter()
        found = function()
        if found is None or time.perf_counter() - started > STALL:
            self._times.pop(shape, None)
        return found

    def timed(self, shape: Shape, function: Callable[[], Result]) -> Callable[[], Result]:
        """Return a function for another thread, whose time counts for those that follow."""

        def measured() -> Result:
            started, computed = time.perf_counter(), time.thread_time()
            result = function()
            if time.thread_time() - computed > QUICK:
                self._times.pop(shape, None)
                return result
            times = self._times.setdefault(shape, _Times())
            times.quick += 1
            times.least = min(times.least, time.perf_counter() - started)
            return result

        return measured
