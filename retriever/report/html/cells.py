"""Cells and tables of the HTML page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from retriever.formatting import format_optional
from retriever.report.lines import best_text

Draw = Callable[[float], str]
Better = Callable[[Sequence[float]], float]

MARKS = {"better": "▲", "worse": "▼", "not distinguishable": "≈"}
TONES = {"better": "better", "worse": "worse", "not distinguishable": "same"}


@dataclass(frozen=True)
class Cell:
    """Text, bold if it is the best of its column, with a smaller `note` under it.

    `spoken` is for screen readers, `tone` colors the note, `heat` (0 to 10) the background.
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
    """One system per row; `folded` tables are collapsed at first."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Cell]]]
    remark: str = ""
    folded: bool = False


def column(values: Sequence[float | None], draw: Draw, better: Better) -> list[Cell]:
    """Return cells for values, with all that equal the best as shown in bold, unless all do."""
    best = best_text(values, draw, better)
    texts = [format_optional(value, draw) for value in values]
    return [Cell(text, best=text == best) for text in texts]


def chance_of(p: float) -> str:
    """Format a p-value."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
