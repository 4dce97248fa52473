"""Resident memory of this process: now, and at its peak while a block runs."""

from __future__ import annotations

import threading

import psutil

SECONDS = 0.02


def resident() -> int:
    """Return the bytes of memory that this process holds now."""
    return int(psutil.Process().memory_info().rss)


class Peak:
    """The most memory that the process held inside a `with` block, sampled every 20 milliseconds.

    The system's own high-water mark would include what came before the block. Only the background
    thread reads it: Ctrl-C in the main thread must not leave a file of `/proc` open.
    """

    def __init__(self) -> None:
        self.bytes = resident()
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
            ended = self._ended.wait(SECONDS)
            self.bytes = max(self.bytes, resident())
