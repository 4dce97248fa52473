"""JSON as it is sent: UTF-8, the same values as the command line's `--json`."""

from __future__ import annotations

import json
from typing import Any

from fastapi.responses import Response
from pydantic_core import PydanticSerializationError, to_json

_ASCII = json.JSONEncoder(default=str, separators=(",", ":")).encode


def json_bytes(value: Any) -> bytes:
    """Return a value as JSON; a lone surrogate, which UTF-8 does not have, as an escape."""
    try:
        return to_json(value, fallback=str)
    except PydanticSerializationError:
        return _ASCII(value).encode()


def json_response(content: bytes, status: int = 200) -> Response:
    """Return JSON that was made in the thread of an answer as a response."""
    return Response(content, status, media_type="application/json")
