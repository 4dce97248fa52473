"""JSON objects, one per line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from indexes.errors import BadRecord
from retriever.formats.lines import read_lines


def read_jsonl(
    stream: Iterable[bytes], name: str
) -> Iterator[tuple[str, dict[str, Any] | BadRecord]]:
    """Yield `(place, object)` for every line that is not blank, or the reason it is unusable.

    NaN and Infinity, which Python's decoder accepts, are rejected: they are not JSON.
    """
    for place, line in read_lines(stream, name):
        yield place, line if isinstance(line, BadRecord) else _object(place, line)


def _object(place: str, line: str) -> dict[str, Any] | BadRecord:
    try:
        value = DECODER.decode(line)
    except (ValueError, RecursionError) as error:
        return BadRecord(place, f"not JSON: {json_fault(error)}")
    return value if isinstance(value, dict) else not_an_object(place)


def not_an_object(place: str) -> BadRecord:
    """Return the bad record for a value that has no fields."""
    return BadRecord(place, "not an object")


def json_fault(error: Exception) -> str:
    """Return what an error of `DECODER` says about the text."""
    if isinstance(error, json.JSONDecodeError):
        # Some of the messages already end in "at".
        return f"{error.msg.removesuffix(' at')} at column {error.colno}"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    # Python reads no integer of more digits.
    digits = f"it has a number of more than {sys.get_int_max_str_digits():,} digits"
    return digits if str(error).startswith("Exceeds the limit") else str(error)


def _refuse_constant(token: str) -> None:
    raise ValueError(f"{token} is not a JSON value")


DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
