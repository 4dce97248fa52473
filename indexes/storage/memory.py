"""How much memory this process holds, and the most that it held while something ran."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import TracebackType

STATUS = Path("/proc/self/statm")
SECONDS = 0.02


def resident() -> int:
    """Bytes of memory that this process holds now; 0 where the system does not tell."""
    try:
        return int(STATUS.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return 0


class Peak:
    """The most that the process held inside a `with` block, looked at every 20 milliseconds.

    Not the system's own high-water mark: that one remembers what came before.
    """

    def __init__(self) -> None:
        self._bytes = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peak-memory", daemon=True)

    @property
    def bytes(self) -> int:
        """The most so far, now included; 0 where the system does not tell."""
        self._bytes = max(self._bytes, resident())
        return self._bytes

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(SECONDS):
            self._bytes = max(self._bytes, resident())
