"""JSON objects, one per line."""

from __future__ import annotations

import json
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
        value = _DECODER.decode(line)
    except json.JSONDecodeError as error:
        # Some of the messages already end in "at".
        reason = f"{error.msg.removesuffix(' at')} at column {error.colno}"
    except RecursionError:
        reason = "nested too deeply"
    except ValueError as error:
        reason = str(error)
    else:
        return value if isinstance(value, dict) else BadRecord(place, "not an object")
    return BadRecord(place, f"not JSON: {reason}")


def _refuse_constant(token: str) -> None:
    raise ValueError(f"{token} is not a JSON value")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
