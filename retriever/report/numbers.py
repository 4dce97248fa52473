"""Numbers as people read them."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["WIDTH", "count", "decimals", "share", "size"]

# Columns that every table and line fits into.
WIDTH = 100


def decimals(places: int) -> Callable[[float], str]:
    """A function that draws a number with so many decimals."""
    return lambda value: f"{value:,.{places}f}"


def count(value: float) -> str:
    """A whole number with commas."""
    return f"{value:,.0f}"


def share(value: float | None) -> str:
    """A share of one in per cent; `-` for None."""
    return "-" if value is None else f"{100 * value:.1f} %"


def size(value: float) -> str:
    """Bytes in the unit that fits: `7.9 MB` is 7.9 million bytes; `-` for none."""
    if not value:
        return "-"
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.2f} GB"
