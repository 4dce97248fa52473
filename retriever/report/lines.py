"""Lines of terminal tables, with one cell per system."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.text import Text

LABELS = {"R": "recall", "RR": "MRR", "AP": "MAP"}

Values = Sequence[float | None]


@dataclass(frozen=True)
class NumberLine:
    """A number for every system, formatted by `draw`, with the best in bold.

    `extra` holds further values, shown after slashes; `marks` a sign after each.
    """

    label: str
    values: Values
    draw: Callable[[float], str]
    better: Callable[[Sequence[float]], float] | None = None
    extra: Sequence[Values] = ()
    marks: Sequence[str] = ()

    def cells(self) -> list[Text]:
        """Return the values as text, with the best in bold if `better` says which."""
        best = best_text(self.values, self.draw, self.better) if self.better else None
        marks = self.marks or [""] * len(self.values)
        return [
            Text.assemble(self._drawn(value, best), self._extra(place), mark)
            for place, (value, mark) in enumerate(zip(self.values, marks, strict=True))
        ]

    def _extra(self, place: int) -> str:
        others = [values[place] for values in self.extra]
        return "".join(f" / {self.draw(value)}" for value in others if value is not None)

    def _drawn(self, value: float | None, best: str | None) -> tuple[str, str]:
        if value is None:
            return "-", "dim"
        text = self.draw(value)
        return text, "bold" if text == best else ""


@dataclass(frozen=True)
class TextLine:
    """A text with its style for every system."""

    label: str
    texts: Sequence[tuple[str, str]]

    def cells(self) -> list[Text]:
        """Return the texts in their styles."""
        return [Text(text, style=style) for text, style in self.texts]


def best_text(
    values: Values, draw: Callable[[float], str], better: Callable[[Sequence[float]], float]
) -> str | None:
    """Return the best of `values` as formatted; None if all known values look alike."""
    known = [value for value in values if value is not None]
    return draw(better(known)) if len(set(map(draw, known))) > 1 else None


def label_of(measure: str) -> str:
    """Return the common name of a measure: `recall@10` for `R@10`, `MRR@10` for `RR@10`."""
    family = re.split(r"[@(]", measure)[0]
    return LABELS.get(family, family) + measure[len(family) :]
