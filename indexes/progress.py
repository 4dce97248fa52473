"""What long work reports: its progress, and the memory it took."""

from __future__ import annotations

import threading
from collections.abc import Callable

import psutil

# Called with the number of passages done, and the number of all.
Progress = Callable[[int, int], None]

# Of counts with this prefix, reports keep the highest; others add up.
PEAK = "peak_"
# How much more memory than at the start the process held at most, in a report.
PEAK_MEMORY = f"{PEAK}memory"
# Recall@10 of a structure when it was built, in thousandths, in a report.
RECALL = "recall_per_mille"
# Processor time of a search for 10, in nanoseconds, when its parameters were chosen, in a report.
SEARCH_TIME = "search_nanoseconds"
SAMPLE_SECONDS = 0.02


def ignore_progress(done: int, total: int) -> None:
    """Ignore progress."""


def resident() -> int:
    """Return the bytes of memory that this process holds now, without pages of files.

    Of a mapped file, the system keeps pages in memory as long as nothing else needs it.
    """
    memory = psutil.Process().memory_info()
    return int(memory.rss - getattr(memory, "shared", 0))  # known on Linux only


class Peak:
    """How much memory the process took at most inside a `with` block, sampled every 20 ms.

    What it held before, such as the models of other indexes, does not count: `bytes` is the
    growth. The system's own high-water mark would include it. Only the background
    thread reads it: Ctrl-C in the main thread must not leave a file of `/proc` open.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self._before = resident()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peak-memory", daemon=True)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        ended = False
        while not ended:
            ended = self._ended.wait(SAMPLE_SECONDS)
            self.bytes = max(self.bytes, resident() - self._before)
