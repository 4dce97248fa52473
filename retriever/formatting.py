"""Formatting of numbers, counts and lists for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from indexes.errors import first_of

# Maximum width of tables and lines, in terminal columns.
WIDTH = 100
# A missing value.
NOTHING = "-"
# Words that stand for an image.
ALT_CHARACTERS = 100


def decimals(places: int) -> Callable[[float], str]:
    """Return a formatter with `places` decimals."""
    return lambda value: f"{value:,.{places}f}"


def signed(places: int) -> Callable[[float], str]:
    """Return a formatter with a sign and `places` decimals."""
    return lambda value: f"{value:+,.{places}f}"


def count(value: float) -> str:
    """Format as an integer with commas."""
    return f"{value:,.0f}"


def first_names(names: Sequence[str]) -> str:
    """Join the first three names, and the number of others."""
    return first_of(names, 3) or "none"


def join_names(names: Sequence[str]) -> str:
    """Join names as `a`, `a and b` or `a, b and c`."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def beginning(text: str, characters: int) -> str:
    """Return a text, cut at a space after at most so many characters, with an ellipsis."""
    if len(text) <= characters:
        return text
    cut = text[:characters]
    return f"{cut.rpartition(' ')[0] or cut} …"


def alt_text(title: str, text: str, doc_id: str) -> str:
    """Return the words that stand for a document's image: title, or else text, or else id."""
    return beginning(title.strip() or text.strip() or doc_id, ALT_CHARACTERS)


def format_optional(value: float | None, draw: Callable[[float], str]) -> str:
    """Format a value with `draw`; `-` for None."""
    return NOTHING if value is None else draw(value)


def percentage(value: float | None) -> str:
    """Format a fraction as a percentage; `-` for None."""
    return "-" if value is None else f"{100 * value:.1f} %"


def format_bytes(value: float) -> str:
    """Format bytes in decimal units: `7.9 MB` is 7.9 million bytes; `-` for none."""
    if not value:
        return "-"
    if value < 1000:
        return f"{value:.0f} B"
    for unit in ("kB", "MB"):
        value /= 1000
        # 999.96 would be shown as 1000.0, so it takes the next unit.
        if round(value, 1) < 1000:
            return f"{value:.1f} {unit}"
    return f"{value / 1000:,.2f} GB"
