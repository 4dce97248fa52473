"""What lies in the user's cache is whole or absent, whatever crashes and whoever else writes.

A folder is made under a temporary name and renamed. One that is damaged makes way. What is opened
is marked by its own time of change, so that what nobody needs any more can go.
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

DAY = 24 * 3600
ABANDONED_SECONDS = DAY
UNUSED_SECONDS = 60 * DAY
# What is made in the cache is called by a SHA-256; whatever else lies there is left alone.
MADE = re.compile(r"[0-9a-f]{64}(\.npy)?")


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
    handle, temporary = tempfile.mkstemp(prefix=".making-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def mark_used(made: Path) -> None:
    """Note that somebody opens a folder or a file of the cache; once a day is enough."""
    with suppress(OSError):
        if time.time() - made.stat().st_mtime > DAY:
            os.utime(made)


def remove_unused(
    root: Path, kept: Path, is_outdated: Callable[[Path], bool] = lambda _: False
) -> None:
    """Remove what nobody has opened for 60 days, or for one day if it is outdated; not `kept`.

    Whoever has a file of it open may go on reading: its space is freed when the last one is done,
    or, where the system does not allow that, it stays for another time.
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
    """Remove a folder or a file at once for all who look for it."""
    if not made.is_dir():
        made.unlink()
        return
    gone = Path(tempfile.mkdtemp(prefix=".making-", dir=made.parent))
    made.rename(gone / made.name)
    shutil.rmtree(gone, ignore_errors=True)


def cache_folder() -> Path:
    """Where converted models are kept: RETRIEVER_CACHE, or else `retriever` in the user's cache."""
    if own := os.environ.get("RETRIEVER_CACHE"):
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "retriever"
