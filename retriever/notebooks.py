"""Progress of long work in notebooks; elsewhere nothing is printed."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Any

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
    """Return whether this is a kernel of Jupyter, whose cells show what is displayed."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    return getattr(shell, "kernel", None) is not None


class _NotebookProgress:
    """Displays one line in a cell, and replaces it; short work displays nothing."""

    def __init__(self, label: str) -> None:
        self._label, self._shown = label, time.monotonic()
        self._handle: Any = None

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if total and done >= total:
            self.clear()
        elif now - self._shown >= EVERY_SECONDS:
            self._shown = now
            filled = WIDTH * done // total if total else 0
            bar = f"[{'#' * filled}{'.' * (WIDTH - filled)}] " if total else ""
            of = f" of {total:,}" if total else ""
            self._display(f"{self._label} {bar}{done:,}{of}")

    def clear(self) -> None:
        """Remove the line."""
        if self._handle is not None:
            self._display("")

    def _display(self, line: str) -> None:
        content = {"text/plain": line}
        if self._handle is None:
            display = sys.modules["IPython"].display.display
            self._handle = display(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)
