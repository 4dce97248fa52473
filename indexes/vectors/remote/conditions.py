"""Filters as conditions on the fields of rows on a server: see `fields`.

A condition on a field that a row has not is not met, and its negation is: there is nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from indexes.catalog.filters.conditions import (
    AllOf,
    AnyOf,
    Exists,
    FieldCondition,
    Filter,
    Not,
    OneOf,
)
from indexes.catalog.filters.sql import NUMBER, stored
from indexes.vectors.remote.fields import (
    ALL,
    HIGHEST,
    LACKING,
    LARGEST,
    LETTERS,
    Known,
    Value,
    is_nameable,
    name_of,
)


@dataclass(frozen=True)
class Compared:
    """The field `name` is a number or a text, as `value` is, and compares so: < <= > >=."""

    name: str
    operator: str
    value: Value


@dataclass(frozen=True)
class Among:
    """The field `name` is one of some numbers or texts; all are of one type."""

    name: str
    values: Sequence[Value]


@dataclass(frozen=True)
class Holds:
    """The field `name` is a list with one of some numbers or texts; all are of one type."""

    name: str
    values: Sequence[Value]


@dataclass(frozen=True)
class Every:
    """All parts are met; without parts, always."""

    parts: Sequence[Condition]


@dataclass(frozen=True)
class Some:
    """A part is met; without parts, never."""

    parts: Sequence[Condition]


@dataclass(frozen=True)
class Negated:
    """The part is not met."""

    part: Condition


Condition = Compared | Among | Holds | Every | Some | Negated
# More values of one condition, a server reads for longer than their keys are found here.
MOST_VALUES = 1_000


def condition_of(where: Filter, known: Known) -> Condition | None:
    """Return the condition that the rows of those documents meet which match a filter.

    `known` says which fields rows have. None if these do not tell: some document's value was left
    out, or the filter compares with a number that a double may not hold, or with too many values.
    There is no part of a filter for a server, and a list of keys for the rest: who has to list
    them, lists fewer for the whole.
    """
    match where:
        case AllOf(parts) | AnyOf(parts):
            conditions = [condition_of(part, known) for part in parts]
            whole = [one for one in conditions if one is not None]
            group = Every if isinstance(where, AllOf) else Some
            return group(whole) if len(whole) == len(parts) else None
        case Not(part):
            negated = condition_of(part, known)
            return None if negated is None else Negated(negated)
        case FieldCondition(field, "!=", value):
            same = FieldCondition(field, "=", value)
            return condition_of(AllOf((Exists(field), Not(same))), known)
    name = name_of(where.field)
    kinds = known.get(name, ())
    if LACKING in kinds or not is_nameable(where.field):
        return None
    if isinstance(where, Exists):
        return Some([_any(letter, name) for letter in LETTERS.values() if letter in kinds])
    values = where.values if isinstance(where, OneOf) else (where.value,)
    if len(values) > MOST_VALUES:
        return None
    by_kind: dict[str, list[Value]] = {}
    for kind, value in map(stored, values):
        if kind == NUMBER and abs(value) > LARGEST:
            return None
        by_kind.setdefault(LETTERS[kind], []).append(_plain(value))
    operator = where.operator if isinstance(where, FieldCondition) else "="
    tests = [
        test
        for letter, some in by_kind.items()
        if letter in kinds
        for test in _tests(letter, name, operator, some, letter + ALL in kinds)
    ]
    return tests[0] if len(tests) == 1 else Some(tests)


def _tests(
    letter: str, name: str, operator: str, values: Sequence[Value], several: bool
) -> list[Condition]:
    """Return conditions of which one is met by each row whose values of one kind match.

    Of `several` values of a row, the lowest and the highest say whether any is in a range.
    """
    lowest = f"{letter}.{name}"
    if operator == "=":
        of_list = [Holds(f"{letter}{ALL}.{name}", values)] if several else []
        return [Among(lowest, values), *of_list]
    first = Compared(lowest, operator, values[0])
    if operator in ("<", "<=") or not several:
        return [first]
    return [first, Compared(f"{letter}{HIGHEST}.{name}", operator, values[0])]


def _any(letter: str, name: str) -> Condition:
    """Return the condition that a row has values of one kind: any value is one of these."""
    return Compared(f"{letter}.{name}", ">=", "" if letter == "t" else float(-LARGEST))


def _plain(value: Value) -> Value:
    return value if isinstance(value, str) else float(value)
