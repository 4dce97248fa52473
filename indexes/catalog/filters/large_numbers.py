"""SQL for exact comparisons with numbers that SQLite rounds when it reads them from JSON.

A whole number outside signed 64 bit is read as the nearest float, so that different ones are equal.
Its digits, which the JSON keeps, decide. All numbers within 64 bit, and floats, are compared
exactly by SQLite itself.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from operator import ge, gt, le, lt

from indexes.catalog.filters.conditions import FieldCondition, OneOf

LIMIT = 2**63
_COMPARE = {"<": lt, "<=": le, ">": gt, ">=": ge}
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}

Sql = tuple[str, list[object]]


def as_float(number: float) -> float:
    """Return the number as SQLite reads it from JSON: infinite if it is too large."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def as_stored(number: float) -> float:
    """Return the number as SQLite compares it: rounded if it is whole and outside 64 bit."""
    if isinstance(number, int) and -LIMIT <= number < LIMIT:
        return int(number)
    return as_float(number)


def large_numbers(values: Sequence[object]) -> list[float]:
    """Return the numbers that a whole number outside 64 bit may be equal to once it is rounded."""
    numbers = (v for v in values if isinstance(v, int | float) and not isinstance(v, bool))
    return [number for number in numbers if abs(as_float(number)) >= LIMIT]


def exact_test(wanted: FieldCondition | OneOf, value: Sql, text: Sql, type_name: str) -> Sql:
    """Return SQL that compares one number of the JSON with the numbers of a condition.

    `value` is the number as SQLite reads it, `text` as the JSON has it, each with its parameters;
    `type_name` is its JSON type, real or integer.
    """
    as_read, of_value = _of_value(wanted)
    test = f"{value[0]} {as_read}"
    values = [*value[1], *of_value]
    if type_name == "real":
        return test, values
    digits, of_digits = _of_digits(wanted, text)
    # In JSON it is an integer; where SQLite reads it as a float, it was rounded.
    # (Brackets are left out: SQLite's parser limits how deep an expression is nested.)
    kind = f"typeof({value[0]})"
    sql = f"{kind} = 'integer' AND {test} OR {kind} = 'real' AND {digits}"
    return sql, [*value[1], *values, *value[1], *of_digits]


def _numbers(wanted: FieldCondition | OneOf) -> list[float]:
    values = wanted.values if isinstance(wanted, OneOf) else (wanted.value,)
    return [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]


def _of_value(wanted: FieldCondition | OneOf) -> Sql:
    """Return operator and operand for a number within 64 bit or a float."""
    numbers = _numbers(wanted)
    if isinstance(wanted, OneOf) or wanted.operator == "=":
        possible = [as_stored(number) for number in numbers if as_stored(number) == number]
        return "IN (SELECT value FROM json_each(?))", [json.dumps(possible)]
    (number,) = numbers
    rounded, operator = as_stored(number), wanted.operator
    # No float lies between the number and its nearest float.
    or_equal = "=" if _COMPARE[operator](rounded, number) else ""
    return f"{operator[0]}{or_equal} ?", [rounded]


def _of_digits(wanted: FieldCondition | OneOf, text: Sql) -> Sql:
    """Return SQL for the digits of a whole number outside 64 bit."""
    sql, values = text
    if isinstance(wanted, OneOf) or wanted.operator == "=":
        whole = [str(int(number)) for number in _numbers(wanted) if number == int(number)]
        return f"{sql} IN (SELECT value FROM json_each(?))", [*values, json.dumps(whole)]
    # A fraction is so small that dropping it changes nothing here.
    (number,) = map(int, _numbers(wanted))
    operator = wanted.operator if number >= 0 else _MIRRORED[wanted.operator]
    low = wanted.operator in ("<", "<=")
    sign = f"{sql} {'' if low else 'NOT '}LIKE '-%'"
    joined = "OR" if low == (number >= 0) else "AND"
    digits = str(number)
    test = f"({sign} {joined} (length({sql}), {sql}) {operator} (?, ?))"
    return test, [*values, *values, *values, len(digits), digits]
