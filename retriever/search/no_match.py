"""Explanations of filters that no document matches: an unknown field, or one of another type."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from indexes.catalog.filters import AllOf, AnyOf, Exists, FieldCondition, Filter, OneOf

Condition = FieldCondition | OneOf | Exists


def no_match_note(fits: Callable[[Filter], bool], where: Filter) -> str:
    """Return the note for a filter without matches; `fits` says if any document matches a filter.

    It names the first field that no document has, or else the first that is compared with a number
    and holds text, never a number.
    """
    conditions = list(_conditions(where))
    for wanted in conditions:
        if not fits(Exists(wanted.field)):
            return f"No document matches the filter. None has a field '{'.'.join(wanted.field)}'."
    for wanted in conditions:
        number = _number(wanted)
        if number is not None and _is_text(fits, wanted.field):
            name = ".".join(wanted.field)
            return (
                f"No document matches the filter. '{name}' is text in this collection, "
                f"as in {name} = '{number}' (CSV files hold text only)."
            )
    return "No document matches the filter."


def _conditions(where: Filter) -> Iterator[Condition]:
    """Yield the conditions as written, in order, without those that are negated.

    A negated one is true if its field is missing or of another type: it cannot be the reason.
    """
    match where:
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from _conditions(part)
        case FieldCondition() | OneOf() | Exists():
            yield where


def _number(wanted: Condition) -> int | float | None:
    """Return the first number that a field is compared with, if any."""
    if isinstance(wanted, Exists):
        return None
    values = wanted.values if isinstance(wanted, OneOf) else (wanted.value,)
    numbers = (v for v in values if isinstance(v, int | float) and not isinstance(v, bool))
    return next(numbers, None)


def _is_text(fits: Callable[[Filter], bool], field: tuple[str, ...]) -> bool:
    """Return whether a field holds text in some document, and a number in none."""
    a_number = AnyOf((FieldCondition(field, "<", 0), FieldCondition(field, ">=", 0)))
    return fits(FieldCondition(field, ">=", "")) and not fits(a_number)
