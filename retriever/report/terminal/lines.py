"""A line of a table: a value for every system, the best of them in bold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.text import Text

LABELS = {"R@": "recall@", "RR@": "MRR@"}

Values = Sequence[float | None]


@dataclass(frozen=True)
class Line:
    """A value for every system, drawn, and which end of it is better.

    `beside` holds more values for each, shown behind slashes; `marks` a sign behind each.
    """

    label: str
    values: Values
    draw: Callable[[float], str]
    better: Callable[[Sequence[float]], float] | None = None
    beside: Sequence[Values] = ()
    marks: Sequence[str] = ()

    def cells(self) -> list[Text]:
        """The values as text, the best in bold where one can be best."""
        known = [value for value in self.values if value is not None]
        drawn = {self.draw(value) for value in known}
        best = self.draw(self.better(known)) if self.better and len(drawn) > 1 else None
        marks = self.marks or [""] * len(self.values)
        return [
            Text.assemble(self._drawn(value, best), self._beside(place), mark)
            for place, (value, mark) in enumerate(zip(self.values, marks, strict=True))
        ]

    def _beside(self, place: int) -> str:
        others = [values[place] for values in self.beside]
        return "".join(f" / {self.draw(value)}" for value in others if value is not None)

    def _drawn(self, value: float | None, best: str | None) -> tuple[str, str]:
        """A value as text and style."""
        if value is None:
            return "-", "dim"
        text = self.draw(value)
        return text, "bold" if text == best else ""


@dataclass(frozen=True)
class Words:
    """A line of texts instead of numbers, each with its style."""

    label: str
    texts: Sequence[tuple[str, str]]

    def cells(self) -> list[Text]:
        """The texts in their styles."""
        return [Text(text, style=style) for text, style in self.texts]


def label_of(measure: str) -> str:
    """The name that people know a measure by: `recall@10` for `R@10`, `MRR@10` for `RR@10`."""
    for short, long in LABELS.items():
        if measure.startswith(short):
            return measure.replace(short, long, 1)
    return measure
