"""Conditions on the fields of rows as boolean expressions of Milvus.

Only what Milvus 2.3 evaluates as we do is used: comparisons of a value of a JSON field with a
double or a text, `in`, `json_contains_any`, and, or, not. `tests/indexes/vectors/test_pushdown.py`
holds it to the catalog's own answers.
"""

from __future__ import annotations

from collections.abc import Sequence

from indexes.vectors.remote.conditions import (
    Among,
    Compared,
    Condition,
    Every,
    Holds,
    Negated,
    Some,
)
from indexes.vectors.remote.fields import Value

KEY, VECTOR, FIELDS = "key", "vector", "fields"


def expression(condition: Condition) -> str:
    """Return a condition as an expression."""
    match condition:
        case Every(parts):
            return _joined(" and ", parts, f"{KEY} >= 0")
        case Some(parts):
            return _joined(" or ", parts, f"{KEY} < 0")
        case Negated(part):
            return f"(not {expression(part)})"
        case Compared(name, operator, value):
            return f"({_place(name)} {operator} {literal(value)})"
        case Among(name, [value]):
            return f"({_place(name)} == {literal(value)})"
        case Among(name, values):
            return f"({_place(name)} in [{_list(values)}])"
        case Holds(name, values):
            return f"json_contains_any({_place(name)}, [{_list(values)}])"


def literal(value: Value) -> str:
    """Return a number, or a text, in which all but plain ASCII is escaped."""
    if isinstance(value, float):
        return repr(value)
    plain = (
        one if " " <= one <= "~" and one not in '"\\' else f"\\U{ord(one):08x}" for one in value
    )
    return f'"{"".join(plain)}"'


def _joined(word: str, parts: Sequence[Condition], empty: str) -> str:
    return f"({word.join(map(expression, parts)) or empty})"


def _list(values: Sequence[Value]) -> str:
    return ", ".join(map(literal, values))


def _place(name: str) -> str:
    return f'{FIELDS}["{name}"]'
