"""The sentence around a span of a text, short enough for an embedder."""

from __future__ import annotations

import re
from collections.abc import Iterator

from indexes.text.unspaced import units
from retriever.splitting import sentences

WORDS = 60
# Characters to search on either side; scripts without spaces have no words to count.
REACH = 600
_SPACE = re.compile(r"\s")


def context_of(text: str, begin: int, end: int) -> tuple[int, int]:
    """Return the span of the sentence around the characters `begin` to `end`.

    A sentence of more than 60 words (see `units`) is cut to 60, with as many before as
    after the span if possible. At most 600 characters on either side are included.
    """
    left, right = _reach(text, begin, end)
    window = text[left:right]
    first, last = next(
        (first, last)
        for first, last in _sentences(window)
        # A period inside the span, such as in `3.14`, may end a sentence.
        if first <= begin - left < last
    )
    first, last = _around(window[:last], first, begin - left, end - left)
    return left + first, left + max(last, end - left)


def _reach(text: str, begin: int, end: int) -> tuple[int, int]:
    """Return the part of a text to search, cut at whitespace if possible."""
    left, right = max(0, begin - REACH), min(len(text), end + REACH)
    if left and (space := _SPACE.search(text, left, begin)):
        left = space.end()
    if right < len(text):
        right = max((space.start() for space in _SPACE.finditer(text, end, right)), default=right)
    return left, right


def _sentences(window: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of a window's sentences, without the whitespace around them."""
    at = 0
    for sentence in sentences(window):
        at = window.index(sentence, at)
        yield at, at + len(sentence)
        at += len(sentence)


def _around(window: str, first: int, begin: int, end: int) -> tuple[int, int]:
    """Return the span of the `WORDS` words around a span, from `first` to the window's end."""
    words = [match.span() for match in units(window).finditer(window, first)]
    if len(words) <= WORDS:
        return first, len(window)
    place = next(n for n, (_, stop) in enumerate(words) if stop > begin)
    start = max(0, min(place - WORDS // 2, len(words) - WORDS))
    return words[start][0], words[start + WORDS - 1][1]
