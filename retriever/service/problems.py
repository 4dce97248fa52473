"""Errors as problem+json (RFC 9457): one sentence, the same as on the command line."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from indexes.errors import (
    CollectionError,
    LockedError,
    MismatchError,
    ModelNotAvailableError,
    RefusedError,
    RetrieverError,
    UnknownNameError,
)
from retriever.advice import command_for
from retriever.mistakes import sentence_of
from retriever.service.responses import json_bytes

_LOG = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
# The first that an error is an instance of.
STATUSES: tuple[tuple[type[RetrieverError], int], ...] = (
    (UnknownNameError, 404),
    (MismatchError, 409),
    (LockedError, 503),
    (ModelNotAvailableError, 503),
    (CollectionError, 503),
    (RetrieverError, 422),
)
# Seconds after which to try again.
RETRY_AFTER = 1.0
# As the OpenAPI description has it.
DESCRIPTION: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "An error, in words.",
        "content": {
            MEDIA_TYPE: {
                "schema": {
                    "type": "object",
                    "required": ["status", "title", "detail"],
                    "properties": {
                        "status": {"type": "integer"},
                        "title": {"type": "string"},
                        "detail": {"type": "string"},
                    },
                }
            }
        },
    }
}


def stopping() -> RefusedError:
    """Return the refusal of a request that comes while the service ends."""
    return RefusedError(503, "The service is stopping.", retry_after=RETRY_AFTER)


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return an error as a response."""
    record = {"status": status, "title": HTTPStatus(status).phrase, "detail": detail}
    return Response(json_bytes(record), status, dict(headers or {}), MEDIA_TYPE)


class ErrorSummary(NamedTuple):
    """An error for a client: its status, its sentence, the command that helps or "", headers."""

    status: int
    sentence: str
    command: str
    headers: Mapping[str, str]


def summarize(error: RetrieverError, folders: Mapping[str, str]) -> ErrorSummary:
    """Return an error of ours for a client; the paths of `folders` become their names."""
    status = next(status for kind, status in STATUSES if isinstance(error, kind))
    headers: Mapping[str, str] = {}
    if isinstance(error, RefusedError):
        status, headers = error.status, error.headers
    elif isinstance(error, LockedError):
        headers = {"Retry-After": str(math.ceil(RETRY_AFTER))}
    sentence, command = (without_paths(one, folders) for one in (str(error), command_for(error)))
    return ErrorSummary(status, sentence, command, headers)


def problem_of(error: RetrieverError, folders: Mapping[str, str] = {}) -> Response:
    """Return an error of ours as a response; the paths of `folders` become their names."""
    status, sentence, command, headers = summarize(error, folders)
    return problem(status, f"{sentence} Run: {command}" if command else sentence, headers)


def without_paths(text: str, folders: Mapping[str, str]) -> str:
    """Return a message with the names of collections in place of their folders."""
    for folder, name in folders.items():
        text = text.replace(folder, name)
    return text


def handle_problems(app: FastAPI, folders: Mapping[str, str]) -> None:
    """Have an application answer every error as problem+json."""

    async def ours(_: Request, error: Exception) -> Response:
        return problem_of(cast(RetrieverError, error), folders)

    async def invalid(_: Request, error: Exception) -> Response:
        return problem(422, sentence_of(cast(RequestValidationError, error).errors()))

    async def of_http(_: Request, error: Exception) -> Response:
        found = cast(HTTPException, error)
        return problem(found.status_code, _http_sentence(found), found.headers)

    async def unexpected(request: Request, error: Exception) -> Response:
        _LOG.error("%s failed", request.scope.get("path"), exc_info=error)
        return problem(500, "The service has failed; its log says why.")

    async def too_deep(_: Request, __: Exception) -> Response:
        return problem(422, "The JSON is nested too deeply. Give fewer levels.")

    async def too_large(_: Request, __: Exception) -> Response:
        return problem(503, "There is not enough memory for this request. Ask for less.")

    app.add_exception_handler(RetrieverError, ours)
    app.add_exception_handler(RecursionError, too_deep)
    app.add_exception_handler(MemoryError, too_large)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(Exception, unexpected)


def _http_sentence(error: HTTPException) -> str:
    if error.status_code == 404:
        return "There is nothing at this address; /openapi.json lists all that there is."
    if error.status_code == 405:
        return "The address does not take this method; /openapi.json lists those that it takes."
    if error.status_code == 400:
        return "The body cannot be read; expected JSON in UTF-8."
    return str(error.detail)
