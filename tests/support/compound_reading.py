"""A slow reading of texts by the entries of a vocabulary, as an oracle."""

from __future__ import annotations

from collections.abc import Sequence

FINAL, BRACKETS = ".,;:!?", '()[]{}<>"'


def read_slowly(text: str, entries: Sequence[str]) -> list[str]:
    """Return the words of a text in lower case, by the longest entry at each word.

    `entries` are in lower case, by descending frequency.
    """
    text, words, at = text.lower(), list[str](), 0
    while at < len(text):
        begin = next((n for n in range(at, len(text)) if text[n].isalnum()), None)
        if begin is None:
            break
        end = begin
        while end < len(text) and text[end].isalnum():
            end += 1
        spans = [(end - begin, -begin, end)]
        for first in range(at, begin + 1):
            for last in range(end, len(text) + 1):
                if _fits(text, first, last) and _taken(text[first:last], entries):
                    spans.append((last - first, -first, last))
        size, _, at = max(spans)
        words.append(text[at - size : at])
    return words


def _fits(text: str, first: int, last: int) -> bool:
    before, after = text[:first][-1:], text[last : last + 1]
    touched = (before.isalnum() and not text[first].isalnum()) or after.isalnum()
    return not touched


def _taken(piece: str, entries: Sequence[str]) -> bool:
    if piece not in entries or piece.isalnum() or {piece[0], piece[-1]} & set(BRACKETS):
        return False
    rest = piece[:-1]
    if piece[-1] not in FINAL or rest not in entries:
        return True
    return entries.index(piece) < entries.index(rest)
