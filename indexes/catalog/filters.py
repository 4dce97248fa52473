"""Filters over the documents' metadata: what they can ask for, checked as they are made.

Values are compared by JSON type: numbers with numbers, text with text (by code point), booleans
with booleans, null with null; what is of another type never matches. A list matches if one of its
elements does; lists and objects inside it match nothing. `1` equals `1.0`, and `true` is not `1`.
"""

from __future__ import annotations

import json
import math
import reprlib
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from indexes.errors import InputError

Scalar = str | int | float | bool | None
COMPARISONS = ("=", "!=", "<", "<=", ">", ">=")

# SQLite's parser holds 100 open pieces of a statement, a level of a filter is up to three of them,
# and the rest of the statement needs its share. Its expressions are 1,000 deep at most, where each
# AND of a chain is a step down, and where a subquery may count twice.
MOST_LEVELS = 10
MOST_CONDITIONS = 200


@dataclass(frozen=True, eq=False)
class _Node:
    @cached_property
    def key(self) -> str:
        """The filter as canonical text, in which filters that mean different things differ.

        Filters are equal when their keys are: to Python, True, 1 and 1.0 are the same.
        """
        return json.dumps(self, default=_terms)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Node) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@dataclass(frozen=True, eq=False)
class FieldCondition(_Node):
    """The field's value compared with one value; `!=` asks for the field to be there.

    Raises:
        InputError: an operator that there is not, a value of another type or not finite, or a
            boolean or null with an operator that orders.
    """

    field: tuple[str, ...]
    operator: str
    value: Scalar

    def __post_init__(self) -> None:
        _check_field(self.field)
        if self.operator not in COMPARISONS:
            known = ", ".join(COMPARISONS)
            raise refused(".".join(self.field), f"one of the operators {known}", self.operator)
        _check_value(self.field, self.value)
        if self.operator not in ("=", "!=") and isinstance(self.value, bool | None):
            raise refused(
                ".".join(self.field), f"a number or text after '{self.operator}'", self.value
            )


@dataclass(frozen=True, eq=False)
class OneOf(_Node):
    """The field's value equals one of several; none of no values.

    Raises:
        InputError: a value of another type or not finite.
    """

    field: tuple[str, ...]
    values: tuple[Scalar, ...]

    def __post_init__(self) -> None:
        _check_field(self.field)
        for value in self.values:
            _check_value(self.field, value)


@dataclass(frozen=True, eq=False)
class Exists(_Node):
    """The field is there, with whatever value: also null, an object or an empty list."""

    field: tuple[str, ...]

    def __post_init__(self) -> None:
        _check_field(self.field)


@dataclass(frozen=True, eq=False)
class AllOf(_Node):
    """Every part holds; with no parts, always."""

    parts: tuple[Filter, ...]

    def __post_init__(self) -> None:
        _check_size(self)


@dataclass(frozen=True, eq=False)
class AnyOf(_Node):
    """At least one part holds; with no parts, never."""

    parts: tuple[Filter, ...]

    def __post_init__(self) -> None:
        _check_size(self)


@dataclass(frozen=True, eq=False)
class Not(_Node):
    """The part does not hold: so also where its field is missing."""

    part: Filter

    def __post_init__(self) -> None:
        _check_size(self)


Filter = FieldCondition | OneOf | Exists | AllOf | AnyOf | Not


def refused(name: str, expected: str, found: object) -> InputError:
    """The error for a filter on the field `name`: what was expected, and what was found."""
    name = name.encode(errors="backslashreplace").decode()
    try:
        shown = reprlib.repr(found)
    except ValueError:
        # Python writes out no whole numbers of more than 4,300 digits.
        shown = "a number of too many digits"
    kind = type(found).__name__
    return InputError(f"The filter on '{name}': expected {expected}, found {shown} ({kind}).")


def too_deep() -> InputError:
    """The error for a filter that is nested too deep."""
    return InputError(
        f"The filter is nested more than {MOST_LEVELS} levels deep."
        " Take out 'not', 'and', 'or' or brackets that change nothing."
    )


def as_float(number: float) -> float:
    """The number as SQLite reads it from JSON: infinite where it is too large."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


# -- what is refused ----------------------------------------------------------------------------


def _check_field(field: tuple[str, ...]) -> None:
    if not field:
        raise InputError("A filter names no field; expected at least one label.")
    if not all(_is_unicode(label) for label in field):
        raise refused(".".join(field), "labels that are valid Unicode", field)


def _check_value(field: tuple[str, ...], value: object) -> None:
    if not isinstance(value, Scalar):
        raise refused(".".join(field), "text, a number, true, false or null", value)
    if isinstance(value, str):
        if not _is_unicode(value):
            raise refused(".".join(field), "text that is valid Unicode", value)
        if "\0" in value:
            raise refused(".".join(field), "text without NUL characters", value)
    elif isinstance(value, int | float) and not math.isfinite(as_float(value)):
        raise refused(".".join(field), "a finite number below 1.8e308", value)


def _check_size(node: Filter) -> None:
    if _levels(node) > MOST_LEVELS:
        raise too_deep()
    if _conditions(node) > MOST_CONDITIONS:
        raise InputError(
            f"The filter has more than {MOST_CONDITIONS} conditions."
            " To compare one field with many values, use 'in' with a list."
        )


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# -- trees --------------------------------------------------------------------------------------


def fields_of(node: Filter) -> set[tuple[str, ...]]:
    """The fields that a filter asks for."""
    if isinstance(node, FieldCondition | OneOf | Exists):
        return {node.field}
    return {field for part in _parts(node) for field in fields_of(part)}


def _terms(node: _Node) -> list[Any]:
    return [type(node).__name__, *(getattr(node, part.name) for part in fields(node))]


def _parts(node: Filter) -> tuple[Filter, ...]:
    match node:
        case AllOf(parts) | AnyOf(parts):
            return parts
        case Not(part):
            return (part,)
    return ()


def _levels(node: Filter) -> int:
    """How many filters stand inside one another, this one included."""
    return 1 + max(map(_levels, _parts(node)), default=0)


def _conditions(node: Filter) -> int:
    """How many conditions on a field there are; an empty group counts as one."""
    return max(1, sum(map(_conditions, _parts(node))))
