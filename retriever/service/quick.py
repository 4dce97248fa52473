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
    """How long the last searches of each shape took, in one state of the collection.

    In another state there may be files to open and models to load: threads do that.
    """

    def __init__(self) -> None:
        # The generation of the collection, and how many were quick since the last that was not.
        self._known: dict[Shape, tuple[int, int]] = {}

    def are_quick(self, shape: Shape, generation: int) -> bool:
        """Return whether the next search of a shape may be expected to be quick."""
        known = self._known.get(shape)
        return known is not None and known[0] == generation and known[1] >= PROVEN

    def here(self, shape: Shape, function: Callable[[], Result]) -> Result:
        """Return what a search returns, computed in the thread of the caller."""
        started = time.perf_counter()
        try:
            return function()
        finally:
            if time.perf_counter() - started > STALL:
                self._known.pop(shape, None)

    def timed(
        self, shape: Shape, generation: int, function: Callable[[], Result]
    ) -> Callable[[], Result]:
        """Return a function for another thread, whose time counts for those that follow."""

        def measured() -> Result:
            started = time.thread_time()
            result = function()
            known = self._known.get(shape, (generation, 0))
            quick = time.thread_time() - started <= QUICK
            before = known[1] if known[0] == generation else 0
            self._known[shape] = generation, before + 1 if quick else 0
            return result

        return measured
