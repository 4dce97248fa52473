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

# From this distance on, a line (the leader) connects a point and its label.
LEADER = 24

# A point and its text.
Label = tuple[tuple[float, float], str]
Leader = tuple[tuple[float, float], tuple[float, float]]


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

    def crossed(self, leader: Leader | None) -> bool:
        """Return whether a line passes through this box, to the nearest pixel or two."""
        if leader is None:
            return False
        (x, y), (to_x, to_y) = leader
        around = Box(min(x, to_x), min(y, to_y), max(x, to_x), max(y, to_y))
        if not self.touches(around):
            return False
        steps = 1 + int(max(abs(to_x - x), abs(to_y - y)) / 2)
        along = ((x + (to_x - x) * n / steps, y + (to_y - y) * n / steps) for n in range(steps + 1))
        return any(
            self.left <= across <= self.right and self.top <= down <= self.bottom
            for across, down in along
        )


@dataclass(frozen=True)
class LabelPosition:
    """The position of a label, its text anchor (`start` or `end`), and its leader if it has one."""

    box: Box
    anchor: str
    leader: Leader | None


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


def place(
    labels: Sequence[Label], frame: Box, lines: Sequence[Box] = ()
) -> list[LabelPosition | None]:
    """Return a spot for each label (point, text) in order; None if none is free.

    One whose leader crosses a label, or on one of the `lines`, is used only if there is no other.
    """
    markers = [Box(x - MARKER, y - MARKER, x + MARKER, y + MARKER) for (x, y), _ in labels]
    spots: list[LabelPosition | None] = []
    for (x, y), text in labels:
        inside = (spot for spot in _around(x, y, text_width(text)) if frame.holds(spot.box))
        placed = [spot for spot in spots if spot]
        taken = [*markers, *(spot.box for spot in placed)]
        free = [spot for spot in inside if not any(spot.box.touches(other) for other in taken)]
        spots.append(_best(free, placed, lines))
    return spots


def _best(
    free: Sequence[LabelPosition], placed: Sequence[LabelPosition], lines: Sequence[Box]
) -> LabelPosition | None:
    """Return the first of the spots with the fewest faults; None without any."""
    best, least = None, (True, True, True)
    for spot in free:
        faults = (False, *_faults(spot, placed, lines))
        if faults < least:
            best, least = spot, faults
        if not any(faults):
            break
    return best


def _faults(
    spot: LabelPosition, placed: Sequence[LabelPosition], lines: Sequence[Box]
) -> tuple[bool, bool]:
    """Return whether a leader crosses a label, and whether a label is on one of the lines."""
    crossing = any(
        spot.box.crossed(other.leader) or other.box.crossed(spot.leader) for other in placed
    )
    return crossing, any(spot.box.touches(line) for line in lines)


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
            end = min(max(x, box.left), box.right), min(max(y, box.top), box.bottom)
            leader = ((x, y), end) if distance >= LEADER else None
            yield LabelPosition(box, "end" if across < 0 else "start", leader)
