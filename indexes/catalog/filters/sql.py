"""Filters translated to SQL, and the rows of indexed fields that it looks values up in."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from indexes.catalog.filters.conditions import (
    AllOf,
    AnyOf,
    Exists,
    FieldCondition,
    Filter,
    Not,
    OneOf,
)
from indexes.catalog.filters.large_numbers import Sql, as_stored, exact_test, large_numbers

# The types of values in the table `field_values`. Objects and empty lists are OTHER; SEVERAL marks
# a document whose list has different elements.
NULL, BOOLEAN, NUMBER, TEXT, OTHER, SEVERAL = range(6)
_JSON_TYPES = {
    NULL: ("null",),
    BOOLEAN: ("true", "false"),
    NUMBER: ("integer", "real"),
    TEXT: ("text",),
}

# For each kind that can match: SQL with {} for the value, and its parameters.
_Tests = dict[int, Sql]


def condition(wanted: Filter, indexed: Mapping[tuple[str, ...], int]) -> tuple[str, list[Any]]:
    """Return SQL that is 1 for the rows of `documents` that match, else 0 (never NULL).

    `indexed` numbers the fields with values in `field_values`; others are read from the JSON of
    `documents.metadata`, which must be as `Document.metadata_json` writes it. The second value
    holds the parameters for the question marks, in order.
    """
    match wanted:
        case AllOf(parts):
            return _all(parts, indexed)
        case AnyOf(parts):
            return _joined(" OR ", parts, indexed, empty="0")
        case Not(part):
            sql, values = condition(part, indexed)
            return f"NOT ({sql})", values
        case FieldCondition(field, "!=", value):
            same = FieldCondition(field, "=", value)
            return condition(AllOf((Exists(field), Not(same))), indexed)
        case Exists(field):
            return _exists(field, indexed.get(field))
    tests = _tests(wanted)
    if not tests:
        return "0", []
    number = indexed.get(wanted.field)
    return _scan(wanted, tests) if number is None else _look_up(number, wanted, tests)


def any_document(wanted: Filter, indexed: Mapping[tuple[str, ...], int]) -> Sql | None:
    """Return SQL that is 1 if any document meets one condition on an indexed field, else 0.

    Twin of `condition`, for which SQLite lists all documents that meet it. None for other filters.
    """
    if not isinstance(wanted, Exists | FieldCondition | OneOf) or wanted.field not in indexed:
        return None
    found, number = "EXISTS (SELECT 1 FROM field_values WHERE field = ?", indexed[wanted.field]
    if isinstance(wanted, Exists):
        return f"SELECT {found})", [number]
    is_negated = isinstance(wanted, FieldCondition) and wanted.operator == "!="
    if is_negated or large_numbers(_values(wanted)):
        return None
    tests = _tests(wanted)
    pieces = [f"{found} AND kind = ? AND {sql.format('value')})" for sql, _ in tests.values()]
    operands = [[number, kind, *values] for kind, (_, values) in tests.items()]
    return f"SELECT {' OR '.join(pieces) or '0'}", [one for some in operands for one in some]


def values_of(metadata: Mapping[str, Any], field: tuple[str, ...]) -> list[tuple[int, Any]]:
    """Return the distinct (kind, value) rows of `field_values` for one document's field, if any.

    A list gives one row for each element. Text ends at a NUL, as in SQLite's JSON functions.
    """
    value: Any = metadata
    for label in field:
        if not isinstance(value, Mapping) or label not in value:
            return []
        value = value[label]
    items = value if isinstance(value, list | tuple) and value else [value]
    rows = list(dict.fromkeys(stored(item) for item in items))
    return [*rows, (SEVERAL, 0)] if len(rows) > 1 else rows


def stored(value: Any) -> tuple[int, Any]:
    """Return the kind of a value of metadata or of a filter, and what SQLite compares."""
    # A bool is an int in Python, so it is tested first.
    if value is None:
        return NULL, 0
    if isinstance(value, bool):
        return BOOLEAN, int(value)
    if isinstance(value, int | float):
        return NUMBER, as_stored(value)
    if isinstance(value, str):
        return TEXT, value.partition("\0")[0]
    return OTHER, 0


def _joined(
    word: str, parts: Sequence[Filter], indexed: Mapping[tuple[str, ...], int], *, empty: str
) -> Sql:
    pieces = [condition(part, indexed) for part in parts]
    sql = word.join(sql for sql, _ in pieces) or empty
    return f"({sql})", [value for _, values in pieces for value in values]


def _all(parts: Sequence[Filter], indexed: Mapping[tuple[str, ...], int]) -> Sql:
    """Join conditions by AND; two bounds of one indexed field take one lookup."""
    between = []
    for low in [part for part in parts if _bounds(part, (">", ">="))]:
        for high in [part for part in parts if _bounds(part, ("<", "<="))]:
            same = low.field == high.field and stored(low.value)[0] == stored(high.value)[0]
            same = same and not large_numbers((low.value, high.value))
            if same and low.field in indexed and low in parts and high in parts:
                between.append(_between(low, high, indexed))
                parts = [part for part in parts if part not in (low, high)]
    sql, values = _joined(" AND ", parts, indexed, empty="1")
    for piece, operands in between:
        sql, values = f"({piece} AND {sql})", [*operands, *values]
    return sql, values


def _bounds(part: Filter, operators: tuple[str, ...]) -> TypeGuard[FieldCondition]:
    return isinstance(part, FieldCondition) and part.operator in operators


def _between(
    low: FieldCondition, high: FieldCondition, indexed: Mapping[tuple[str, ...], int]
) -> Sql:
    """Find documents with a value between both, or with several where each bound is met by one."""
    number, (kind, least), (_, most) = indexed[low.field], stored(low.value), stored(high.value)
    found = "documents.document IN (SELECT document FROM field_values WHERE field = ? AND kind = ?"
    each, values = _joined(" AND ", (low, high), indexed, empty="1")
    return (
        f"({found} AND value {low.operator} ? AND value {high.operator} ?) OR {found}) AND {each})",
        [number, kind, least, most, number, SEVERAL, *values],
    )


def _values(wanted: FieldCondition | OneOf) -> tuple[Any, ...]:
    return (wanted.value,) if isinstance(wanted, FieldCondition) else wanted.values


def _tests(wanted: FieldCondition | OneOf) -> _Tests:
    by_kind: dict[int, list[Any]] = {}
    for kind, value in map(stored, _values(wanted)):
        by_kind.setdefault(kind, []).append(value)
    tests: _Tests = {}
    for kind, of_kind in by_kind.items():
        if kind == NULL:
            # NULL from JSON, 0 in the table.
            tests[kind] = ("ifnull({}, 0) = 0", [])
        elif isinstance(wanted, FieldCondition):
            tests[kind] = (f"{{}} {wanted.operator} ?", of_kind)
        else:
            # One parameter for all of them: SQLite limits their number.
            tests[kind] = ("{} IN (SELECT value FROM json_each(?))", [json.dumps(of_kind)])
    return tests


def _look_up(number: int, wanted: FieldCondition | OneOf, tests: _Tests) -> Sql:
    """Find documents with such a value in `field_values`, through its primary key."""
    tests = dict(tests)
    # The table holds large whole numbers rounded: equal ones are compared in the JSON.
    rounded = tests.pop(NUMBER) if large_numbers(_values(wanted)) else None
    found = [_rows(number, kind, test) for kind, test in tests.items()]
    if rounded is not None:
        test, operands = rounded
        if isinstance(wanted, FieldCondition) and wanted.operator != "=":
            found.append(_rows(number, NUMBER, (f"{{}} {wanted.operator[0]} ?", operands)))
            test = "{} = ?"
        maybe, scan = _rows(number, NUMBER, (test, operands)), _scan(wanted, {NUMBER: rounded})
        found.append((f"{maybe[0]} AND {scan[0]}", [*maybe[1], *scan[1]]))
    sql = " OR ".join(piece for piece, _ in found)
    return f"({sql})", [value for _, values in found for value in values]


def _rows(number: int, kind: int, test: Sql) -> Sql:
    """Find documents by one test on the values of one kind."""
    sql = "documents.document IN (SELECT document FROM field_values WHERE field = ? AND kind = ?"
    return f"{sql} AND {test[0].format('value')})", [number, kind, *test[1]]


def _scan(wanted: FieldCondition | OneOf, tests: _Tests) -> Sql:
    """Find documents with such a value in their JSON; `json_each` is used for lists only."""
    source, path = _place(wanted.field)
    text: Sql = f"{source} -> (? || '[' || item.key || ']')", [path]
    item_sql, item_values = _by_type(("item.type", []), ("item.value", []), text, wanted, tests)
    of_items = f"EXISTS (SELECT 1 FROM json_each({source}, ?) AS item WHERE {item_sql})"
    return _by_type(
        (f"json_type({source}, ?)", [path]),
        (f"json_extract({source}, ?)", [path]),
        (f"{source} -> ?", [path]),
        wanted,
        tests,
        of_list=(f" WHEN 'array' THEN {of_items}", [path, *item_values]),
    )


def _by_type(
    type_name: Sql,
    value: Sql,
    text: Sql,
    wanted: FieldCondition | OneOf,
    tests: _Tests,
    *,
    of_list: Sql = ("", []),
) -> Sql:
    """Return a CASE over the JSON type of a value, which is given also as its JSON `text`."""
    sql, values = f"CASE {type_name[0]}", [*type_name[1]]
    exact = large_numbers(_values(wanted))
    for kind, (test, operands) in tests.items():
        for name in _JSON_TYPES[kind]:
            found = test.format(value[0]), [*value[1], *operands]
            if kind == NUMBER and exact:
                found = exact_test(wanted, value, text, name)
            sql += f" WHEN '{name}' THEN {found[0]}"
            values += found[1]
    return f"{sql}{of_list[0]} ELSE 0 END", values + of_list[1]


def _exists(field: tuple[str, ...], number: int | None) -> Sql:
    if number is None:
        source, path = _place(field)
        return f"json_type({source}, ?) IS NOT NULL", [path]
    found = "documents.document IN (SELECT document FROM field_values WHERE field = ?)"
    return found, [number]


def _place(field: tuple[str, ...]) -> tuple[str, str]:
    r"""Return the JSON text to search, as SQL, and the path in it.

    SQLite 3.40 compares a path's label with the escaped label of the JSON, and its paths cannot
    hold a quotation mark. So for such a label both backslashes and quotation marks are written as
    `\u` escapes, in the path and in the JSON; the backslashes first, since only then is every `\"`
    a quotation mark.
    """
    labels = [json.dumps(label, ensure_ascii=False)[1:-1] for label in field]
    source = "documents.metadata"
    if any('"' in label for label in field):
        labels = [label.replace(r"\\", r"\u005c").replace(r"\"", r"\u0022") for label in labels]
        source = rf"""replace(replace({source}, '\\', '\u005c'), '\"', '\u0022')"""
    return source, "$" + "".join(f'."{label}"' for label in labels)
