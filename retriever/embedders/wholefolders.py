"""What lies in the user's cache is whole or absent, whatever crashes and whoever else writes.

A folder is made under a temporary name and renamed. One that is damaged makes way.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

__all__ = ["make_whole", "write_whole"]

ABANDONED_SECONDS = 24 * 3600


def make_whole(
    folder: Path, fill: Callable[[Path], None], is_whole: Callable[[Path], bool]
) -> None:
    """Have `fill` write a folder's files; another process's whole folder stays, if it was sooner.

    Raises:
        OSError: the folder cannot be written; and whatever `fill` raises. Nothing is left then.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    _sweep(folder.parent)
    work = Path(tempfile.mkdtemp(prefix=".making-", dir=folder.parent))
    try:
        fill(work)
        _put(work, folder, is_whole)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _put(work: Path, folder: Path, is_whole: Callable[[Path], bool]) -> None:
    """Rename `work` to `folder`.

    A folder cannot be renamed onto one that is not empty, so nobody's files are ever mixed.
    """
    for _ in range(2):
        try:
            work.rename(folder)
        except OSError:
            if is_whole(folder):
                return
            with suppress(OSError):
                # Out of the way at once, then deleted: readers never see half of it.
                folder.rename(work.with_name(work.name + "-damaged"))
            shutil.rmtree(work.with_name(work.name + "-damaged"), ignore_errors=True)
        else:
            return
    work.rename(folder)


def _sweep(root: Path) -> None:
    """Delete what a crash left behind, once it is so old that nobody can be working on it."""
    for leftover in root.glob(".making-*"):
        with suppress(OSError):
            if time.time() - leftover.stat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(leftover, ignore_errors=True)


def write_whole(path: Path, text: str) -> None:
    """Write a small file that is whole or absent; its folder is made where it is not there.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    Path(temporary).replace(path)
