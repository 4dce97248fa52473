"""The sentence around a stretch of a text: short enough for an embedder to read it whole."""

from __future__ import annotations

import re
from collections.abc import Iterator

from retriever.splitting import sentences

WORDS = 60
# How far it is looked for; scripts that write no spaces have no words to count.
REACH = 600
_WORD, _SPACE = re.compile(r"\S+"), re.compile(r"\s")


def context_of(text: str, begin: int, end: int) -> tuple[int, int]:
    """Where the sentence around the characters `begin` to `end` begins and ends.

    Of a sentence of more than 60 words, those around it: as many before as after, as far as there
    are. A word is a run without whitespace; of one that is longer than 600 characters on either
    side, the nearest ones.
    """
    left, right = _reach(text, begin, end)
    window = text[left:right]
    first, last = next(
        (first, last)
        for first, last in _sentences(window)
        # A full stop may end a sentence inside a stretch such as `3.14`.
        if first <= begin - left < last
    )
    first, last = _around(window[:last], first, begin - left, end - left)
    return left + first, left + max(last, end - left)


def _reach(text: str, begin: int, end: int) -> tuple[int, int]:
    """How much of a text is looked at: not from or up to the middle of a word, if that can be."""
    left, right = max(0, begin - REACH), min(len(text), end + REACH)
    if left and (space := _SPACE.search(text, left, begin)):
        left = space.end()
    if right < len(text):
        right = max((space.start() for space in _SPACE.finditer(text, end, right)), default=right)
    return left, right


def _sentences(window: str) -> Iterator[tuple[int, int]]:
    """Where the sentences of a window begin and end, without the whitespace around them."""
    at = 0
    for sentence in sentences(window):
        at = window.index(sentence, at)
        yield at, at + len(sentence)
        at += len(sentence)


def _around(window: str, first: int, begin: int, end: int) -> tuple[int, int]:
    """The words of a sentence, from `first` to the window's end, that are nearest to a stretch."""
    words = [match.span() for match in _WORD.finditer(window, first)]
    if len(words) <= WORDS:
        return first, len(window)
    place = next(n for n, (_, stop) in enumerate(words) if stop > begin)
    start = max(0, min(place - WORDS // 2, len(words) - WORDS))
    return words[start][0], words[start + WORDS - 1][1]
