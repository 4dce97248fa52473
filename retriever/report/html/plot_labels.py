"""Placement of plot labels without overlap of labels, points or the frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

SIZE = 12
LINE = 15
MARKER = 7
DISTANCES = (10, 16, 24, 36, 50, 66, 84, 104, 128)
# Directions of a label from its point, in order of preference.
WAYS = ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (-1, -1), (1, 1), (-1, 1))
# Narrow and wide letters in the widest of the common system fonts; widths below are in em.
NARROW_LETTERS, WIDE_LETTERS = frozenset("iljtfr.,:;|!'()[]-/ "), frozenset("mwMW@%")

# A point and its text.
Label = tuple[tuple[float, float], str]


@dataclass(frozen=True)
class Box:
    """A rectangle; `top` is less than `bottom`, as in SVG."""

    left: float
    top: float
    right: float
    bottom: float

    def touches(self, other: Box) -> bool:
        """Return whether the two boxes have a point in common."""
        across = self.left <= other.right and other.left <= self.right
        return across and self.top <= other.bottom and other.top <= self.bottom

    def holds(self, other: Box) -> bool:
        """Return whether the other box lies in this one."""
        across = self.left <= other.left and other.right <= self.right
        return across and self.top <= other.top and other.bottom <= self.bottom


@dataclass(frozen=True)
class LabelPosition:
    """The position of a label, and its text anchor: `start` or `end`."""

    box: Box
    distance: float
    anchor: str


def text_width(text: str) -> float:
    """Estimate the width of a label from above, since the reader's fonts are unknown."""
    return sum(map(_letter_width, text)) * SIZE


def _letter_width(letter: str) -> float:
    if letter in NARROW_LETTERS:
        return 0.42
    if letter in WIDE_LETTERS:
        return 1.0
    if letter.isupper():
        return 0.8
    return 1.1 if cell_len(letter) > 1 else 0.65


def cut(text: str, width: float) -> str:
    """Return as much of a text as fits into `width`, with an ellipsis if it is cut."""
    if text_width(text) <= width:
        return text
    while text and text_width(text + "…") > width:
        text = text[:-1]
    return text + "…"


def place(labels: Sequence[Label], frame: Box) -> list[LabelPosition | None]:
    """Return a spot for each label (point, text) in order; None if none is free."""
    taken = [Box(x - MARKER, y - MARKER, x + MARKER, y + MARKER) for (x, y), _ in labels]
    spots: list[LabelPosition | None] = []
    for (x, y), text in labels:
        inside = (spot for spot in _around(x, y, text_width(text)) if frame.holds(spot.box))
        free = (spot for spot in inside if not any(spot.box.touches(other) for other in taken))
        spots.append(next(free, None))
        taken += [spot.box for spot in spots[-1:] if spot]
    return spots


def _around(x: float, y: float, width: float) -> Iterator[LabelPosition]:
    """Yield candidate spots around a point, the nearest first."""
    for distance in DISTANCES:
        for across, down in WAYS:
            if across == 0:
                left = x - width / 2
            else:
                reach = distance if down == 0 else distance * 0.7
                left = x + reach if across > 0 else x - reach - width
            middle = y + down * (distance + LINE / 2 if across == 0 else distance * 0.9)
            box = Box(left, middle - LINE / 2, left + width, middle + LINE / 2)
            yield LabelPosition(box, distance, "end" if across < 0 else "start")
