"""The part of a text that shows why it was found, with the words that it shares with a query."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

Span = tuple[int, int]

# So far before the first marked word, a sentence or at least a word begins.
LEAD = 60
ENDS = (". ", "! ", "? ", "\n")


@dataclass(frozen=True)
class Piece:
    """A piece of a text; `marked` if the query has it, too."""

    text: str
    marked: bool = False


def excerpt_of(text: str, spans: Sequence[Span], characters: int) -> list[Piece]:
    """Return at most so many characters of a text, about where most of its spans are, in pieces.

    White space is collapsed. An ellipsis stands for what is left out before and after.
    """
    start = _start(text, spans, characters)
    stop = min(len(text), start + characters)
    if stop < len(text):
        cut = text.rfind(" ", start, stop)
        stop = cut if cut > start else stop
    pieces = pieces_of(text, spans, start, stop)
    before = [Piece("… ")] if start else []
    after = [Piece(" …")] if text[stop:].strip() else []
    return [*before, *pieces, *after]


def pieces_of(
    text: str, spans: Sequence[Span], start: int = 0, stop: int | None = None
) -> list[Piece]:
    """Return a part of a text as pieces, marked where the spans are; white space is collapsed."""
    stop = len(text) if stop is None else stop
    pieces, at = list[Piece](), start
    for begin, end in spans:
        if begin < at or end > stop:
            continue
        pieces += [Piece(_collapsed(text[at:begin])), Piece(_collapsed(text[begin:end]), True)]
        at = end
    pieces.append(Piece(_collapsed(text[at:stop])))
    return [piece for piece in pieces if piece.text]


def _start(text: str, spans: Sequence[Span], characters: int) -> int:
    """Return where the excerpt begins: the first of the places from which most words are in it."""
    if len(text) <= characters or not spans:
        return 0
    ends = [end for _, end in spans]
    reach = characters - LEAD

    def words(first: int) -> int:
        last = bisect_right(ends, spans[first][0] + reach)
        return len({text[b:e].lower() for b, e in spans[first:last]})

    best = max(range(len(spans)), key=lambda first: (words(first), -first))
    wanted = spans[best][0]
    if wanted <= LEAD:
        return 0
    window = text[wanted - LEAD : wanted]
    sentence = max(window.rfind(mark) + len(mark) if mark in window else 0 for mark in ENDS)
    return wanted - LEAD + (sentence or window.find(" ") + 1)


def _collapsed(text: str) -> str:
    inside = " ".join(text.split())
    if not inside:
        return " " if text else ""
    return f"{' ' if text[0].isspace() else ''}{inside}{' ' if text[-1].isspace() else ''}"
