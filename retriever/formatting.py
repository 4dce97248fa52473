"""Numbers as people read them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

# Columns that every table and line fits into.
WIDTH = 100


def decimals(places: int) -> Callable[[float], str]:
    """A function that draws a number with so many decimals."""
    return lambda value: f"{value:,.{places}f}"


def signed(places: int) -> Callable[[float], str]:
    """A function that draws a number with its sign and so many decimals."""
    return lambda value: f"{value:+,.{places}f}"


def count(value: float) -> str:
    """A whole number with commas."""
    return f"{value:,.0f}"


def many(number: int, one: str, more: str) -> str:
    """A count with its noun: `1 query`, `2,000 queries`."""
    return f"{number:,} {one if number == 1 else more}"


def some(names: Sequence[str]) -> str:
    """The first three names, and how many more there are."""
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3]) or 'none'}{more}"


def share(value: float | None) -> str:
    """A share of one in per cent; `-` for None."""
    return "-" if value is None else f"{100 * value:.1f} %"


def size(value: float) -> str:
    """Bytes in the unit that fits: `7.9 MB` is 7.9 million bytes; `-` for none."""
    if not value:
        return "-"
    if value < 1000:
        return f"{value:.0f} B"
    for unit in ("kB", "MB"):
        value /= 1000
        # 999.96 would be drawn as 1000.0: that is one of the next unit.
        if round(value, 1) < 1000:
            return f"{value:.1f} {unit}"
    return f"{value / 1000:,.2f} GB"
