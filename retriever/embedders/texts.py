"""What every embedder asks of the texts that it is given."""

from __future__ import annotations

from collections.abc import Sequence

from indexes.errors import InputError


def check_texts(texts: Sequence[str]) -> None:
    """Refuses what is no list of texts.

    Raises:
        InputError: a single text instead of a list; or a text that is not `str` or not valid
            Unicode, named by its position from 0.
    """
    if isinstance(texts, str | bytes):
        raise InputError("Expected a list of texts; got a single one. Put it into a list: [text].")
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            kind = type(text).__name__
            raise InputError(f"Text {position} is {kind}; expected text (str).")
        # Only a text beyond ASCII can hold half of a surrogate pair.
        if not text.isascii():
            _check_unicode(text, position)


def _check_unicode(text: str, position: int) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"Text {position} is not valid Unicode at character {error.start}: a lone surrogate."
        ) from None
