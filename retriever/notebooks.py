"""Progress of long work in notebooks; elsewhere nothing is printed."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator

from indexes.progress import Progress, ignore_progress

# Not more often than a person can read.
EVERY_SECONDS = 0.25
WIDTH = 30


def progress_or(given: Progress | None, label: str) -> Progress:
    """Return the progress callback that was given; else one that draws in a notebook's cell."""
    if given is not None:
        return given
    return _NotebookProgress(label) if in_notebook() else ignore_progress


@contextlib.contextmanager
def progress_shown(given: Progress | None, label: str) -> Iterator[Progress]:
    """Yield what `progress_or` returns; whatever it has drawn is removed at the end."""
    shown = progress_or(given, label)
    try:
        yield shown
    finally:
        if isinstance(shown, _NotebookProgress):
            shown.clear()


def in_notebook() -> bool:
    """Return whether this is a kernel of Jupyter, whose cells show what is printed."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    return getattr(shell, "kernel", None) is not None


class _NotebookProgress:
    """Draws one line in place, and leaves nothing behind when all is done."""

    def __init__(self, label: str) -> None:
        self._label, self._shown, self._longest = label, 0.0, 0

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if total and done >= total:
            self.clear()
        elif now - self._shown >= EVERY_SECONDS:
            self._shown = now
            filled = WIDTH * done // total if total else 0
            bar = f"[{'#' * filled}{'.' * (WIDTH - filled)}] " if total else ""
            of = f" of {total:,}" if total else ""
            self._draw(f"{self._label} {bar}{done:,}{of}")

    def clear(self) -> None:
        """Remove the line."""
        if self._longest:
            self._draw("")
            sys.stdout.write("\r")

    def _draw(self, line: str) -> None:
        sys.stdout.write(f"\r{line.ljust(self._longest)}")
        sys.stdout.flush()
        self._longest = len(line)
