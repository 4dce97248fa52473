"""Checks of the options and texts that embedders are given."""

from __future__ import annotations

import math
from collections.abc import Sequence

from indexes.errors import InputError


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


def check_texts(texts: Sequence[str]) -> None:
    """Check that `texts` is a list of valid texts.

    Raises:
        InputError: a single text instead of a list; or a text that is not `str` or not valid
            Unicode, named by its position from 0.
    """
    if isinstance(texts, str | bytes):
        raise InputError("Expected a list of texts; got a single one. Put it into a list: [text].")
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"Text {position} is {type(text).__name__}; expected text (str).")
        try:
            # Only a text beyond ASCII can hold half of a surrogate pair.
            if not text.isascii():
                text.encode()
        except UnicodeEncodeError as error:
            at = f"at character {error.start}: a lone surrogate"
            raise InputError(f"Text {position} is not valid Unicode {at}.") from None
