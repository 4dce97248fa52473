"""What numbers and names among an embedder's options must be."""

from __future__ import annotations

import math
from collections.abc import Sequence

from indexes.errors import InputError


def check_count(name: str, value: int | None, most: float = math.inf) -> None:
    """Check a number that may be left out.

    Raises:
        InputError: it is not a whole number from 1 to `most`.
    """
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        up_to = "up" if most == math.inf else f"to {most:,}"
        raise InputError(f"{name} is {value!r}; expected a whole number from 1 {up_to}.")


def check_one_of(name: str, value: str, known: Sequence[str]) -> None:
    """Check a name against those that there are.

    Raises:
        InputError: it is none of them.
    """
    if value not in known:
        raise InputError(f"{name} is {value!r}; expected one of: {', '.join(known)}.")
