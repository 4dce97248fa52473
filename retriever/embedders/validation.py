"""Checks of the options, texts and files that embedders are given."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

from indexes.errors import FileFormatError, InputError

# https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
LFS_START, LFS_BYTES = b"version https://git-lfs.github.com/spec/", 1024
LFS_ADVICE = "a Git LFS pointer, not the file itself. Run in its repository: git lfs pull"


def place_of(model: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """Return a model's path as absolute, for whatever working folder comes; a name as given."""
    path = Path(model).expanduser()
    return path.absolute() if path.exists() else model


def check_count(name: str, value: int | None, most: float = math.inf) -> None:
    """Raise InputError unless a count is None or an integer from 1 to `most`."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        up_to = "up" if most == math.inf else f"to {most:,}"
        raise InputError(f"{name} is {value!r}; expected a whole number from 1 {up_to}.")


def check_one_of(name: str, value: str, known: Sequence[str]) -> None:
    """Raise InputError unless a name is one of the known ones."""
    if value not in known:
        raise InputError(f"{name} is {value!r}; expected one of: {', '.join(known)}.")


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, at most 200 characters; its type if empty."""
    return (next(iter(str(error).splitlines()), "") or type(error).__name__)[:200]


def is_lfs_pointer(path: Path) -> bool:
    """Return whether a file only says where Git LFS has its content."""
    try:
        if path.stat().st_size > LFS_BYTES:
            return False
        with path.open("rb") as file:
            return file.read(len(LFS_START)) == LFS_START
    except OSError:
        return False


def check_not_pointer(path: Path) -> None:
    """Raise FileFormatError if a file only says where Git LFS has its content."""
    if is_lfs_pointer(path):
        raise FileFormatError(f"{path} is {LFS_ADVICE}")
