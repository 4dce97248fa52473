"""Atomic writes to the user's cache, and removal of unused entries.

A folder is written under a temporary name and renamed, so that it is intact or absent, whatever
crashes and whatever other processes write. A damaged one is replaced. The modification time of an
entry records its last use.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from platformdirs import user_cache_path

DAY = 24 * 3600
ABANDONED_SECONDS = DAY
UNUSED_SECONDS = 60 * DAY
# Cache entries are named by a SHA-256; everything else is left alone.
MADE = re.compile(r"[0-9a-f]{64}(\.npy)?")


def write_folder_atomic(
    folder: Path, fill: Callable[[Path], None], is_whole: Callable[[Path], bool]
) -> None:
    """Write a folder's files with `fill`; an intact folder of a faster process is kept.

    Raises:
        OSError: the folder cannot be written; also whatever `fill` raises. Nothing is left behind.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(folder.parent)
    work = Path(tempfile.mkdtemp(prefix=".making-", dir=folder.parent))
    try:
        fill(work)
        _move_into_place(work, folder, is_whole)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _move_into_place(work: Path, folder: Path, is_whole: Callable[[Path], bool]) -> None:
    """Rename `work` to `folder`.

    A folder cannot be renamed onto a non-empty one, so files of two processes are never mixed.
    """
    for _ in range(2):
        try:
            work.rename(folder)
        except OSError:
            if is_whole(folder):
                return
            with suppress(OSError):
                # Renamed first, then deleted: readers never see a partial folder.
                folder.rename(work.with_name(work.name + "-damaged"))
            shutil.rmtree(work.with_name(work.name + "-damaged"), ignore_errors=True)
        else:
            return
    work.rename(folder)


def _remove_leftovers(root: Path) -> None:
    """Delete leftovers of crashes once they are too old to be in use."""
    for leftover in root.glob(".making-*"):
        with suppress(OSError):
            if time.time() - leftover.stat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(leftover, ignore_errors=True)


def write_file_atomic(path: Path, content: str | bytes) -> None:
    """Write a small file atomically, creating its folder if needed.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".making-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def mark_used(made: Path) -> None:
    """Record the use of a folder or file of the cache, at most once a day."""
    with suppress(OSError):
        if time.time() - made.stat().st_mtime > DAY:
            os.utime(made)


def remove_unused(
    root: Path, kept: Path, is_outdated: Callable[[Path], bool] = lambda _: False
) -> None:
    """Remove entries not opened for 60 days, or for one day if outdated; never `kept`.

    A process with an open file can continue to read it: the space is freed when the last one closes
    it, or, if the system does not allow that, the entry stays until a later call.
    """
    with suppress(OSError):
        for made in root.iterdir():
            if made == kept or not MADE.fullmatch(made.name):
                continue
            with suppress(OSError):
                idle = time.time() - made.stat().st_mtime
                if idle > UNUSED_SECONDS or (idle > DAY and is_outdated(made)):
                    _remove(made)


def _remove(made: Path) -> None:
    """Remove a folder or file atomically for other processes."""
    if not made.is_dir():
        made.unlink()
        return
    gone = Path(tempfile.mkdtemp(prefix=".making-", dir=made.parent))
    made.rename(gone / made.name)
    shutil.rmtree(gone, ignore_errors=True)


def cache_folder() -> Path:
    """Return the folder of converted models: RETRIEVER_CACHE, or `retriever` in the user's cache.

    The user's cache is the system's own: on Linux XDG_CACHE_HOME, or else `~/.cache`.
    """
    if own := os.environ.get("RETRIEVER_CACHE"):
        return Path(own).expanduser().absolute()
    return user_cache_path("retriever", appauthor=False)
