"""Filters over the documents' metadata, and the SQL that picks the documents which satisfy them.

Values are compared by JSON type: numbers with numbers, text with text (by code point), booleans
with booleans, null with null; what is of another type never matches. A list matches if one of its
elements does; lists and objects inside it match nothing. `1` equals `1.0`, and `true` is not `1`.
"""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from indexes.errors import InputError

__all__ = [
    "COMPARISONS",
    "MOST_CONDITIONS",
    "MOST_LEVELS",
    "AllOf",
    "AnyOf",
    "Comparison",
    "Exists",
    "Filter",
    "Not",
    "OneOf",
    "Scalar",
    "condition",
    "refused",
    "too_deep",
    "values_of",
]

Scalar = str | int | float | bool | None
COMPARISONS = ("=", "!=", "<", "<=", ">", ">=")

# SQLite's parser holds 100 open pieces of a statement, a level of a filter is up to three of them,
# and the rest of the statement needs its share. Its expressions are 1,000 deep at most, where each
# AND of a chain is a step down, and where a subquery may count twice.
MOST_LEVELS = 10
MOST_CONDITIONS = 200

# What the table `field_values` calls the type of a value. Objects and empty lists are OTHER.
NULL, BOOLEAN, NUMBER, TEXT, OTHER = range(5)
_JSON_TYPES = {
    NULL: ("null",),
    BOOLEAN: ("true", "false"),
    NUMBER: ("integer", "real"),
    TEXT: ("text",),
}

_Sql = tuple[str, list[Any]]
# For each kind that can match: SQL with {} for the value, and what is bound in it.
_Tests = dict[int, _Sql]


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
class Comparison(_Node):
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


Filter = Comparison | OneOf | Exists | AllOf | AnyOf | Not


def condition(wanted: Filter, indexed: Mapping[tuple[str, ...], int]) -> tuple[str, list[Any]]:
    """An SQL expression that is 1 for the rows of `documents` that match, else 0; never NULL.

    `indexed` numbers the fields whose values are in `field_values`; others are read from the JSON
    of `documents.metadata`, which must be as `Document.metadata_json` writes it. The second value
    is what to bind to the question marks, in their order.
    """
    match wanted:
        case AllOf(parts):
            return _joined(" AND ", parts, indexed, empty="1")
        case AnyOf(parts):
            return _joined(" OR ", parts, indexed, empty="0")
        case Not(part):
            sql, values = condition(part, indexed)
            return f"NOT ({sql})", values
        case Comparison(field, "!=", value):
            same = Comparison(field, "=", value)
            return condition(AllOf((Exists(field), Not(same))), indexed)
        case Exists(field):
            return _exists(field, indexed.get(field))
    tests = _tests(wanted)
    if not tests:
        return "0", []
    number = indexed.get(wanted.field)
    return _scan(wanted.field, tests) if number is None else _look_up(number, tests)


def values_of(metadata: Mapping[str, Any], field: tuple[str, ...]) -> list[tuple[int, Any]]:
    """The distinct (kind, value) rows of `field_values` for one document; none without the field.

    A list gives a row an element. Text ends at a NUL, as it does for SQLite's JSON functions.
    """
    value: Any = metadata
    for label in field:
        if not isinstance(value, Mapping) or label not in value:
            return []
        value = value[label]
    items = value if isinstance(value, list | tuple) and value else [value]
    return list(dict.fromkeys(_stored(item) for item in items))


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
    elif isinstance(value, int | float) and not math.isfinite(_as_float(value)):
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


# -- values -------------------------------------------------------------------------------------


def _stored(value: Any) -> tuple[int, Any]:
    """A value of metadata or of a filter, as its kind and what SQLite compares."""
    # A bool is an int to Python, so it is asked for first.
    if value is None:
        return NULL, 0
    if isinstance(value, bool):
        return BOOLEAN, int(value)
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return NUMBER, int(value)
    if isinstance(value, int | float):
        return NUMBER, _as_float(value)
    if isinstance(value, str):
        return TEXT, value.partition("\0")[0]
    return OTHER, 0


def _as_float(number: float) -> float:
    """The number as SQLite reads it from JSON: infinite where it is too large."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


# -- SQL ----------------------------------------------------------------------------------------


def _joined(
    word: str, parts: Sequence[Filter], indexed: Mapping[tuple[str, ...], int], *, empty: str
) -> _Sql:
    pieces = [condition(part, indexed) for part in parts]
    sql = word.join(sql for sql, _ in pieces) or empty
    return f"({sql})", [value for _, values in pieces for value in values]


def _tests(wanted: Comparison | OneOf) -> _Tests:
    values = (wanted.value,) if isinstance(wanted, Comparison) else wanted.values
    by_kind: dict[int, list[Any]] = {}
    for kind, value in map(_stored, values):
        by_kind.setdefault(kind, []).append(value)
    tests: _Tests = {}
    for kind, of_kind in by_kind.items():
        if kind == NULL:
            # SQL's null out of JSON, 0 in the table.
            tests[kind] = ("ifnull({}, 0) = 0", [])
        elif isinstance(wanted, Comparison):
            tests[kind] = (f"{{}} {wanted.operator} ?", of_kind)
        else:
            # One parameter for all of them: SQLite allows only so many.
            tests[kind] = ("{} IN (SELECT value FROM json_each(?))", [json.dumps(of_kind)])
    return tests


def _look_up(number: int, tests: _Tests) -> _Sql:
    """Documents with such a value in `field_values`, found through its primary key."""
    pieces, values = [], []
    for kind, (test, operands) in tests.items():
        pieces.append(
            "documents.document IN (SELECT document FROM field_values"
            f" WHERE field = ? AND kind = ? AND {test.format('value')})"
        )
        values += [number, kind, *operands]
    return f"({' OR '.join(pieces)})", values


def _scan(field: tuple[str, ...], tests: _Tests) -> _Sql:
    """Documents with such a value in their JSON; only a list is taken apart by `json_each`."""
    source, path = _place(field)
    item_sql, item_values = _by_type("item.type", "item.value", [], tests)
    of_items = f"EXISTS (SELECT 1 FROM json_each({source}, ?) AS item WHERE {item_sql})"
    return _by_type(
        f"json_type({source}, ?)",
        f"json_extract({source}, ?)",
        [path],
        tests,
        of_list=(f" WHEN 'array' THEN {of_items}", [path, *item_values]),
    )


def _by_type(
    type_sql: str, value_sql: str, path: list[Any], tests: _Tests, *, of_list: _Sql = ("", [])
) -> _Sql:
    """A CASE over the JSON type; both `type_sql` and `value_sql` bind `path`."""
    sql, values = f"CASE {type_sql}", [*path]
    for kind, (test, operands) in tests.items():
        for name in _JSON_TYPES[kind]:
            sql += f" WHEN '{name}' THEN {test.format(value_sql)}"
            values += [*path, *operands]
    return f"{sql}{of_list[0]} ELSE 0 END", values + of_list[1]


def _exists(field: tuple[str, ...], number: int | None) -> _Sql:
    if number is None:
        source, path = _place(field)
        return f"json_type({source}, ?) IS NOT NULL", [path]
    found = "documents.document IN (SELECT document FROM field_values WHERE field = ?)"
    return found, [number]


def _place(field: tuple[str, ...]) -> tuple[str, str]:
    r"""The JSON text to look in, as SQL, and the path in it.

    SQLite 3.40 compares a path's label with the escaped label of the JSON, and its paths cannot
    hold a quotation mark. So for such a label both backslashes and quotation marks are written by
    their numbers, in the path and in the JSON; the backslashes first, since only then is every
    `\"` a quotation mark.
    """
    labels = [json.dumps(label, ensure_ascii=False)[1:-1] for label in field]
    source = "documents.metadata"
    if any('"' in label for label in field):
        labels = [label.replace(r"\\", r"\u005c").replace(r"\"", r"\u0022") for label in labels]
        source = rf"""replace(replace({source}, '\\', '\u005c'), '\"', '\u0022')"""
    return source, "$" + "".join(f'."{label}"' for label in labels)
