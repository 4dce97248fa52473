"""What pydantic says about a request, in our words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from indexes.errors import described

# Of a body with many mistakes.
MOST_MISTAKES = 5
# In the place of a mistake: one of the types that a field may have, or a function that checks it.
ALTERNATIVE = re.compile(r"function-|(list|dict)\[|(str|int|float|bool)$")


def sentence_of(mistakes: Sequence[Mapping[str, Any]]) -> str:
    """Return what is wrong with a request, as sentences that name each field."""
    said = [_mistake(one) for one in mistakes[:MOST_MISTAKES]]
    return " ".join(dict.fromkeys(said))


def _mistake(mistake: Mapping[str, Any]) -> str:
    where, *path = mistake["loc"]
    name = ".".join(str(part) for part in path[:4] if not ALTERNATIVE.match(str(part)))
    says = str(mistake["msg"]).removeprefix("Value error, ").rstrip(".")
    match mistake["type"]:
        case "json_invalid":
            fault = mistake.get("ctx", {}).get("error", says)
            return f"The body is not JSON: {fault} at character {name}."
        case "too_short":
            return f"'{name}' is empty; give at least one."
        case "int_parsing" | "int_type" | "int_from_float":
            says = "expected a whole number"
        case "missing":
            return f"'{name}' is missing." if name else "The body is missing; expected JSON."
        case "extra_forbidden":
            return f"There is no field '{name}'."
        case "model_attributes_type" | "dict_type" if not name:
            return "The body is not a JSON object, or has no header Content-Type: application/json."
    found = mistake.get("input")
    shown = "" if isinstance(found, dict | list) else f" is {described(found)}"
    expected = says.replace("Input should be", "expected", 1).replace(
        "Input should", "it should", 1
    )
    return f"'{name or where}'{shown}; {expected}." if shown else f"'{name or where}': {expected}."
