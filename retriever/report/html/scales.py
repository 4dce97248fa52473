"""Scales of plot axes and their ticks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# A log scale has no zero; values too small to measure are placed here.
SMALLEST = 1e-3
# Ticks within a decade: the finest set with enough space for the numbers is used.
DECADES: Sequence[Sequence[int]] = ((1, 2, 5), (1, 3), (1,))
STEPS = (1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True)
class Scale:
    """A linear or `log` map of `low` to `start` and `high` to `end`; a single value is centered."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    @classmethod
    def over(cls, values: Sequence[float], start: float, end: float, *, log: bool = False) -> Scale:
        """Return the scale from the smallest to the largest of `values`."""
        if log:
            values = [max(value, SMALLEST) for value in values]
        low, high = min(values), max(values)
        # Values that are indistinguishable on the axis count as one.
        if high - low < 1e-9 * max(abs(low), abs(high), SMALLEST):
            low = high
        return cls(low, high, start, end, log)

    def __call__(self, value: float) -> float:
        """Return the position of a value."""
        low, high = self._of(self.low), self._of(self.high)
        if high == low:
            return (self.start + self.end) / 2
        return self.start + (self._of(value) - low) / (high - low) * (self.end - self.start)

    def ticks(self, first: float, last: float, apart: float) -> list[tuple[float, str]]:
        """Return round values between `first` and `last`, at least `apart`, with their text."""
        if self.low == self.high:
            return [(self.low, _number(float(f"{self.low:.3g}")))]
        values = self._log_ticks(first, last, apart) if self.log else []
        return [(value, _number(value)) for value in values] or self._even(first, last, apart)

    def _of(self, value: float) -> float:
        return math.log10(max(value, SMALLEST)) if self.log else value

    def _log_ticks(self, first: float, last: float, apart: float) -> list[float]:
        lowest, highest = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        exponents = range(lowest - 1, highest + 2)
        sets = [[s * 10.0**e for e in exponents for s in steps] for steps in DECADES]
        sets += [[10.0**e for e in exponents if e % every == 0] for every in (2, 3, 4)]
        for values in sets:
            inside = self._inside(values, first, last)
            if len(inside) > 1 and self._spaced(inside, apart):
                return inside
        return []

    def _even(self, first: float, last: float, apart: float) -> list[tuple[float, str]]:
        """Return ticks at even steps, for linear axes and for log axes of a small range."""
        power = 10.0 ** math.floor(math.log10((self.high - self.low) / 10))
        for step in (s * p for p in (power, 10 * power, 100 * power) for s in STEPS):
            # One span on either side, to cover the space between the values and the frame.
            span = self.high - self.low
            lowest, highest = (self.low - span) / step, (self.high + span) / step
            numbers = range(math.ceil(lowest), math.floor(highest) + 1)
            inside = self._inside([n * step for n in numbers], first, last)
            if self._spaced(inside, apart):
                places = max(0, -math.floor(math.log10(step) + 1e-9))
                return [(value, _fixed(value, places)) for value in inside]
        return []

    def _inside(self, values: Iterable[float], first: float, last: float) -> list[float]:
        if self.log:
            values = (value for value in values if value >= SMALLEST)
        return [value for value in values if first <= self(value) <= last]

    def _spaced(self, values: Sequence[float], apart: float) -> bool:
        places = sorted(self(value) for value in values)
        return all(b - a >= apart for a, b in itertools.pairwise(places))


def _number(value: float) -> str:
    """Format as `0.5`, `20`, `10,000`."""
    return f"{value:,.10g}"


def _fixed(value: float, places: int) -> str:
    """Format with `places` decimals and a typographic minus; zero has no sign."""
    return f"{value + 0:,.{places}f}".replace("-", "\N{MINUS SIGN}")
