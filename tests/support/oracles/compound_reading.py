"""A slow reading of texts by the entries of a vocabulary, as an oracle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

FINAL, BRACKETS = ".,;:!?", '()[]{}<>"'
# The row of an entry, or -1.
Row = Callable[[str], int]


def read_slowly(text: str, row: Row, names: Sequence[str]) -> list[str]:
    """Return the words of a text, by the longest entry at each word; `names` are the entries."""
    return [word for chunk in text.split() for word in _words(chunk, row, names)]


def _words(chunk: str, row: Row, names: Sequence[str]) -> Iterator[str]:
    at = 0
    while (
        begin := next((n for n in range(at, len(chunk)) if chunk[n].isalnum()), None)
    ) is not None:
        end = next((n for n in range(begin, len(chunk)) if not chunk[n].isalnum()), len(chunk))
        spans = [(end - begin, -begin)]
        for first in range(at, begin + 1):
            for last in range(end, len(chunk) + 1):
                if not _touched(chunk, first, last) and _taken(chunk[first:last], row, names):
                    spans.append((last - first, -first))
        size, first = max(spans)
        at = size - first
        yield chunk[-first:at]


def _touched(chunk: str, first: int, last: int) -> bool:
    before, after = chunk[:first][-1:], chunk[last : last + 1]
    return before.isalnum() or after.isalnum()


def _taken(piece: str, row: Row, names: Sequence[str]) -> bool:
    own = row(piece)
    if own < 0 or piece.isalnum() or {piece[0], piece[-1]} & set(BRACKETS):
        return False
    parts = piece.split("-")
    if len(parts) > 1 and all(_is_word(part, row, names) for part in parts):
        return False
    rest = row(names[own][:-1])
    return piece[-1] not in FINAL or rest < 0 or own < rest


def _is_word(part: str, row: Row, names: Sequence[str]) -> bool:
    return row(part) >= 0 and (part.isalnum() or _taken(part, row, names))
