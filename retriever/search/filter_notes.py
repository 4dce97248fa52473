"""Explanations of conditions of a filter that have no effect: an unknown field, another type."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from indexes.catalog.filters.conditions import (
    AllOf,
    AnyOf,
    Exists,
    FieldCondition,
    Filter,
    Not,
    OneOf,
    Scalar,
)
from indexes.catalog.filters.field_names import Fits, Path, check_readings, field_name
from indexes.errors import InputError
from retriever.search.where_parser import number_of

Condition = FieldCondition | OneOf | Exists
# Returns the fields of the documents, or of many of them.
Known = Callable[[], Iterable[Path]]
NO_MATCH = "No document matches the filter."
NO_EFFECT = "A condition of the filter has no effect."
OTHER_TYPE = "A condition of the filter asks for another type than its field has."
TEXT, NUMBER, BOOLEAN = "text", "a number", "true or false"


@dataclass(frozen=True)
class _Reason:
    """Why a condition has no effect, in words; what follows from it, of a search and negated."""

    said: str = ""
    effect: str = ""
    negated: str = ""


def filter_notes(fits: Fits, where: Filter, known: Known) -> tuple[str, ...]:
    """Return a note if no document matches a filter, or if one of its conditions has no effect.

    It names the first field that no document has, or else the first that is compared with a value
    of a type that it never holds. `fits` says if any document matches a filter.

    Raises:
        InputError: a field may be meant in two ways; see `check_readings`.
    """
    check_readings(where, fits)
    if not fits(where):
        reason = _reason(fits, list(_conditions(where)), known, "None has")
        return (f"{NO_MATCH} {reason.said}".rstrip(),)
    reason = _reason(fits, list(_conditions(where, negated=True)), known)
    return (f"{reason.effect} {reason.said}",) if reason.said else ()


def check_deletion(fits: Fits, where: Filter, known: Known) -> None:
    """Refuse to delete by a condition that is true only because it cannot be met when negated.

    Raises:
        InputError: names the field; or a field may be meant in two ways.
    """
    check_readings(where, fits)
    if not fits(where):
        return
    reason = _reason(fits, list(_without_effect(fits, where)), known)
    if reason.said:
        raise InputError(f"Nothing was deleted: {reason.said} {reason.negated}")


def field_notes(fits: Fits, paths: Sequence[Path], known: Known) -> tuple[str, ...]:
    """Return a note for each field that no document has."""
    return tuple(_unknown(path, known) for path in paths if not fits(Exists(path)))


def _reason(
    fits: Fits, conditions: Sequence[Condition], known: Known, no_one: str = "No document has"
) -> _Reason:
    """Return why a condition has no effect, for the first that has none."""
    for wanted in conditions:
        if not fits(Exists(wanted.field)):
            every = "A condition on it is met by no document, and its negation by every one."
            return _Reason(_unknown(wanted.field, known, no_one), NO_EFFECT, every)
    for wanted in conditions:
        if said := _mistyped(fits, wanted):
            having = "A value of another type equals none, and differs from that of every document."
            return _Reason(said, OTHER_TYPE, having)
    return _Reason()


def _mistyped(fits: Fits, wanted: Condition) -> str:
    """Return that a field never holds the type of a value; empty if another value has an effect."""
    values, types = _values(wanted), _types(wanted.field)
    # To ask for a type that no document has takes a scan of all.
    lacking = {kind for kind in {*map(_type_of, values)} - {""} if not fits(types[kind])}
    wrong = [value for value in values if _type_of(value) in lacking]
    right = tuple(value for value in values if _type_of(value) not in lacking)
    if not wrong or (right and fits(OneOf(wanted.field, right))):
        return ""
    held = [kind for kind, has in types.items() if kind not in lacking and fits(has)]
    return _of_another_type(field_name(wanted.field), wrong[0], held) if held else ""


def _of_another_type(name: str, value: Scalar, held: Sequence[str]) -> str:
    example = next(filter(None, (_as_type(value, one) for one in held)), None)
    shown = f", as in {name} = {example}" if example else ""
    csv = " (CSV files hold text only, unless added with --types auto)" if held == [TEXT] else ""
    return f"'{name}' is {' or '.join(held)} in this collection{shown}{csv}."


def _unknown(path: Path, known: Known, no_one: str = "No document has") -> str:
    names = {name.casefold(): name for name in map(field_name, known())}
    near = difflib.get_close_matches(field_name(path).casefold(), list(names), n=3)
    shown = ", ".join(f"'{names[one]}'" for one in near)
    similar = f" Similar: {shown}." if near else ""
    return f"{no_one} a field '{field_name(path)}'.{similar}"


def _conditions(where: Filter, *, negated: bool = False) -> Iterator[Condition]:
    """Yield the conditions as written, in order; those that are negated only if asked.

    A negated one is true if its field is missing or of another type: it cannot be the reason that
    no document matches.
    """
    match where:
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from _conditions(part, negated=negated)
        case Not(part) if negated:
            yield from _conditions(part, negated=True)
        case FieldCondition() | OneOf() | Exists():
            yield where


def _without_effect(fits: Fits, where: Filter, *, negated: bool = False) -> Iterator[Condition]:
    """Yield the conditions whose negation can let documents through."""
    match where:
        case Not(part):
            yield from _without_effect(fits, part, negated=not negated)
        case AllOf(parts) | AnyOf(parts):
            if negated or fits(where):
                for part in parts:
                    yield from _without_effect(fits, part, negated=negated)
        case FieldCondition(operator="!="):
            if negated or fits(where):
                yield where
        # Who asks for documents without a field means those.
        case FieldCondition() | OneOf():
            if negated:
                yield where


def _types(field: Path) -> dict[str, Filter]:
    """Return the types that a field may hold, each with what matches documents that have it."""
    return {
        TEXT: FieldCondition(field, ">=", ""),
        NUMBER: AnyOf((FieldCondition(field, "<", 0), FieldCondition(field, ">=", 0))),
        BOOLEAN: OneOf(field, (True, False)),
    }


def _type_of(value: Scalar) -> str:
    """Return the type of a value; empty for null."""
    if value is None:
        return ""
    if isinstance(value, str):
        return TEXT
    return BOOLEAN if isinstance(value, bool) else NUMBER


def _as_type(value: Scalar, wanted: str) -> str | None:
    """Return a value written as another type in a filter; None if it is no value of that."""
    if wanted == TEXT and not isinstance(value, bool):
        return f"'{value}'"
    text = str(value).strip().lower()
    if wanted == BOOLEAN:
        return text if text in ("true", "false") else None
    return text if wanted == NUMBER and number_of(text) is not None else None


def _values(wanted: Condition) -> tuple[Scalar, ...]:
    """Return the values that a field is compared with."""
    if isinstance(wanted, Exists):
        return ()
    return wanted.values if isinstance(wanted, OneOf) else (wanted.value,)
