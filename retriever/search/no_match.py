"""Why no document fits a filter, as far as that can be told: a field's name, or its type."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from indexes.catalog.filters import AllOf, AnyOf, Exists, FieldCondition, Filter, Not, OneOf

Condition = FieldCondition | OneOf | Exists


def nothing_fits(fits: Callable[[Filter], bool], where: Filter) -> str:
    """The note for a filter that lets nothing through; `fits` says whether any document fits one.

    It names the first field that no document has, or else the first that is compared with a number
    and holds text, never a number.
    """
    conditions = list(_conditions(where))
    for wanted in conditions:
        if not fits(Exists(wanted.field)):
            return f"No document fits the filter. None has a field '{_name(wanted)}'."
    for wanted in conditions:
        number = _number(wanted)
        if number is not None and _is_text(fits, wanted.field):
            name = _name(wanted)
            return (
                f"No document fits the filter. '{name}' is text in this collection, "
                f"as in {name} = '{number}' (CSV files hold text only)."
            )
    return "No document fits the filter."


def _conditions(where: Filter) -> Iterator[Condition]:
    """The conditions in the order in which they were written, less those that are negated.

    A negated one holds where its field is missing or of another type: it is not the reason.
    """
    match where:
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from _conditions(part)
        case FieldCondition() | OneOf() | Exists():
            yield where
        case Not():
            return


def _name(wanted: Condition) -> str:
    return ".".join(wanted.field)


def _number(wanted: Condition) -> int | float | None:
    """The first number that a field is compared with, if there is one."""
    if isinstance(wanted, Exists):
        return None
    values = wanted.values if isinstance(wanted, OneOf) else (wanted.value,)
    numbers = (v for v in values if isinstance(v, int | float) and not isinstance(v, bool))
    return next(numbers, None)


def _is_text(fits: Callable[[Filter], bool], field: tuple[str, ...]) -> bool:
    """Whether a field holds text in some document, and a number in none."""
    a_number = AnyOf((FieldCondition(field, "<", 0), FieldCondition(field, ">=", 0)))
    return fits(FieldCondition(field, ">=", "")) and not fits(a_number)
