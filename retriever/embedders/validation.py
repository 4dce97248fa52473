"""Checks of the options and texts that embedders are given."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

from indexes.errors import InputError


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
