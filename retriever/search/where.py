"""Filters on metadata, written as mappings; `where_parser.parse_where` reads them from text."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from indexes.catalog.filters.conditions import (
    COMPARISONS,
    MOST_LEVELS,
    AllOf,
    AnyOf,
    Exists,
    FieldCondition,
    Filter,
    Not,
    OneOf,
    refused,
    too_deep,
)
from indexes.catalog.filters.field_names import field_path
from indexes.errors import InputError

# A mapping for `parse_filter`, or a text for `where_parser.parse_where`.
Where = Mapping[str, Any] | str

OPERATORS = (*COMPARISONS, "in", "not in", "exists")
EXAMPLE = '{"source": "faq", "year": {">=": 2020}}'


def parse_filter(where: Where) -> Filter:
    """Return the filter that a mapping describes: all of its conditions hold.

    `{"field": value}` is equality; `{"field": {operator: operand, ...}}` takes =, !=, <, <=, >,
    >=, "in" and "not in" (with a list) and "exists" (with True or False), and all of them hold.
    `{"and": [mapping, ...]}`, `{"or": [mapping, ...]}` and `{"not": mapping}` combine; with other
    values these are names of fields. Dots in a name lead into nested objects, except in quotation
    marks: `{"author.name": "Ada"}` looks inside `author`, `{'"author.name"': "Ada"}` takes the
    field of that name (see `field_names`).

    Raises:
        InputError: names the field, what was expected and an example.
    """
    return _all_of(where, 1)


def _all_of(where: object, level: int) -> Filter:
    if level > MOST_LEVELS:
        raise too_deep()
    if not isinstance(where, Mapping):
        kind = type(where).__name__
        raise InputError(
            f"The filter is {kind}; expected a mapping of fields to values, such as {EXAMPLE}."
        )
    if not where:
        raise InputError(f"The filter is empty; give at least one condition, such as {EXAMPLE}.")
    return _together(AllOf, [_entry(name, value, level) for name, value in where.items()])


def _together(group: type[AllOf] | type[AnyOf], parts: Sequence[Filter]) -> Filter:
    return parts[0] if len(parts) == 1 else group(tuple(parts))


def _entry(name: object, value: Any, level: int) -> Filter:
    if not isinstance(name, str):
        kind = type(name).__name__
        raise InputError(
            f"The filter has the field {reprlib.repr(name)} ({kind});"
            f" expected text, as in {EXAMPLE}."
        )
    if name in ("and", "or") and isinstance(value, list | tuple):
        return _group(name, value, level)
    if name == "not" and isinstance(value, Mapping) and not set(value) <= set(OPERATORS):
        return Not(_all_of(value, level + 1))
    operations = value if isinstance(value, Mapping) else {"=": value}
    if not operations:
        raise _refused(name, f"an operator ({', '.join(OPERATORS)})", value)
    field = field_path(name)
    return _together(AllOf, [_operation(name, field, *one) for one in operations.items()])


def _group(name: str, parts: Sequence[Any], level: int) -> Filter:
    if not parts or not all(isinstance(part, Mapping) for part in parts):
        example = f'{{"{name}": [{{"source": "faq"}}, {{"year": 2020}}]}}'
        found = refused(name, "a list of at least one mapping", parts)
        raise InputError(f"{found} For example: {example}.")
    group = AllOf if name == "and" else AnyOf
    return _together(group, [_all_of(part, level + 1) for part in parts])


def _operation(name: str, field: tuple[str, ...], operator: object, operand: Any) -> Filter:
    match operator:
        case "exists":
            if not isinstance(operand, bool):
                raise _refused(name, "True or False after 'exists'", operand)
            return Exists(field) if operand else Not(Exists(field))
        case "in":
            return _one_of(name, field, operand)
        case "not in":
            return AllOf((Exists(field), Not(_one_of(name, field, operand))))
        case str() if operator in COMPARISONS:
            if isinstance(operand, list | tuple | Mapping):
                raise _refused(name, f"one value after '{operator}'", operand)
            return _with_example(FieldCondition, field, operator, operand)
    raise InputError(
        f"The filter on '{name}': {operator!r} is not one of: {', '.join(OPERATORS)};"
        f' for example {{"year": {{">=": 2020}}}}. A nested field is written "{name}.{operator}".'
    )


def _one_of(name: str, field: tuple[str, ...], operand: Any) -> Filter:
    if not isinstance(operand, list | tuple):
        raise _refused(name, "a list after 'in' or 'not in'", operand)
    return _with_example(OneOf, field, tuple(operand))


def _with_example(make: Callable[..., Filter], *arguments: Any) -> Filter:
    """Make a filter; add an example to the message if its own checks refuse it."""
    try:
        return make(*arguments)
    except InputError as error:
        raise InputError(f"{error} For example: {EXAMPLE}.") from None


def _refused(name: str, expected: str, found: object) -> InputError:
    several = ' or {"source": {"in": ["faq", "blog"]}}' if isinstance(found, list | tuple) else ""
    return InputError(f"{refused(name, expected, found)} For example: {EXAMPLE}{several}.")
