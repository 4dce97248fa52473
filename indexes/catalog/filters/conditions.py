"""Filters on document metadata, validated when they are created.

Values are compared by JSON type: numbers with numbers, text with text (by code point), booleans
with booleans, null with null; a value of another type never matches. A list matches if one of its
elements does; lists and objects inside it match nothing. `1` equals `1.0`, and `true` is not `1`.
Numbers are compared exactly, whole numbers of any size too.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from indexes.errors import InputError, described, short_repr

Scalar = str | int | float | bool | None
COMPARISONS = ("=", "!=", "<", "<=", ">", ">=")

# SQLite's parser stack holds 100 entries, of which a level of a filter takes up to three, and the
# rest of the statement some. Its expressions are at most 1,000 deep, where each AND of a chain is
# one level, and a subquery may count twice.
MOST_LEVELS = 10
MOST_CONDITIONS = 200


@dataclass(frozen=True, eq=False)
class _Node:
    @cached_property
    def key(self) -> str:
        """The filter as canonical text: filters are equal if their keys are.

        Comparing values would not do: in Python, True, 1 and 1.0 are equal.
        """
        return json.dumps(self, default=_terms)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Node) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@dataclass(frozen=True, eq=False)
class FieldCondition(_Node):
    """The field's value compared with one value; `!=` requires the field to exist.

    Raises:
        InputError: the operator is unknown, the value has another type or is not finite, or a
            boolean or null has an ordering operator.
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
            wanted = f"a number or text after '{self.operator}'"
            raise refused(".".join(self.field), wanted, self.value)


@dataclass(frozen=True, eq=False)
class OneOf(_Node):
    """The field's value equals one of several (see `FieldCondition`); without values, never."""

    field: tuple[str, ...]
    values: tuple[Scalar, ...]

    def __post_init__(self) -> None:
        _check_field(self.field)
        for value in self.values:
            _check_value(self.field, value)


@dataclass(frozen=True, eq=False)
class Exists(_Node):
    """The field exists with any value, including null, an object or an empty list."""

    field: tuple[str, ...]

    def __post_init__(self) -> None:
        _check_field(self.field)


@dataclass(frozen=True, eq=False)
class _Group(_Node):
    def __post_init__(self) -> None:
        if _levels(self) > MOST_LEVELS:
            raise too_deep()
        if _conditions(self) > MOST_CONDITIONS:
            raise InputError(
                f"The filter has more than {MOST_CONDITIONS} conditions."
                " To compare one field with many values, use 'in' with a list."
            )


@dataclass(frozen=True, eq=False)
class AllOf(_Group):
    """All parts match; without parts, always."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, eq=False)
class AnyOf(_Group):
    """At least one part matches; without parts, never."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, eq=False)
class Not(_Group):
    """The part does not match, or its field is missing."""

    part: Filter


Filter = FieldCondition | OneOf | Exists | AllOf | AnyOf | Not


def refused(name: str, expected: str, found: object) -> InputError:
    """Return the error for a filter on the field `name`."""
    name = name.encode(errors="backslashreplace").decode()
    plain = found is None or isinstance(found, bool)
    shown = described(found) if plain else short_repr(found)
    return InputError(f"The filter on '{name}': expected {expected}, found {shown}.")


def too_deep() -> InputError:
    """Return the error for a filter that is nested too deep."""
    return InputError(
        f"The filter is nested more than {MOST_LEVELS} levels deep."
        " Take out 'not', 'and', 'or' or brackets that change nothing."
    )


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
    elif isinstance(value, int | float) and not _is_finite(value):
        raise refused(".".join(field), "a finite number below 1.8e308", value)


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def fields_of(node: Filter) -> set[tuple[str, ...]]:
    """Return the fields that a filter uses."""
    if isinstance(node, FieldCondition | OneOf | Exists):
        return {node.field}
    return {field for part in _parts(node) for field in fields_of(part)}


def _terms(node: _Node) -> list[Any]:
    return [type(node).__name__, *(getattr(node, part.name) for part in fields(node))]


def _parts(node: _Node) -> tuple[Filter, ...]:
    match node:
        case AllOf(parts) | AnyOf(parts):
            return parts
        case Not(part):
            return (part,)
    return ()


def _levels(node: _Node) -> int:
    """Return how deep filters are nested, including this one."""
    return 1 + max(map(_levels, _parts(node)), default=0)


def _conditions(node: _Node) -> int:
    """Return the number of conditions on a field; an empty group counts as one."""
    return max(1, sum(map(_conditions, _parts(node))))
