"""What the page's tables are made of: cells, columns with the best in bold, numbers as text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

NOTHING = "-"
Draw = Callable[[float], str]
Better = Callable[[Sequence[float]], float]


@dataclass(frozen=True)
class Cell:
    """A cell: its text, bold if it is the best, and a smaller `note` under it.

    `spoken` is for who hears the page, `tone` colours the note, `heat` (0 to 10) the ground.
    """

    text: str
    best: bool = False
    note: str = ""
    spoken: str = ""
    tone: str = ""
    heat: int | None = None
    words: bool = False


@dataclass(frozen=True)
class Table:
    """A table: a system a row. `folded` ones are shown when asked for."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Cell]]]
    remark: str = ""
    folded: bool = False


def column(values: Sequence[float | None], draw: Draw, better: Better) -> list[Cell]:
    """Cells for values, the best in bold: all that are drawn alike, none if all are."""
    known = [value for value in values if value is not None]
    best = draw(better(known)) if len({draw(value) for value in known}) > 1 else None
    texts = [drawn(value, draw) for value in values]
    return [Cell(text, best=text == best) for text in texts]


def drawn(value: float | None, draw: Draw) -> str:
    """A value as text, and that there is none as `-`."""
    return NOTHING if value is None else draw(value)


def milliseconds(value: float) -> str:
    """Milliseconds with two decimals, without any from 100 on."""
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}"


def seconds(value: float) -> str:
    """Seconds with two decimals, with one from 10 on."""
    return f"{value:.2f}" if value < 10 else f"{value:,.1f}"
