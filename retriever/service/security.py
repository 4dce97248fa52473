"""Who may ask, and how much they may send: the outermost checks of a request."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from indexes.errors import RefusedError
from retriever.service.problems import RETRY_AFTER, problem_of
from retriever.service.settings import ServiceSettings, is_loopback

# Asked by what starts and watches services, which has no token; they tell nothing.
OPEN_PATHS = frozenset({"/health", "/ready"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
CLOSE = {"Connection": "close"}
# As many of the longest bodies are held at once.
BODIES = 16
# How long the rest of a body that is refused is read: a client may write all before it reads.
LINGER_SECONDS = 5.0
# Sent unless an answer has its own; the page has another policy.
HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
]


class Guarded:
    """ASGI middleware: host, origin and token are checked, then the body is read in limits."""

    def __init__(self, app: ASGIApp, settings: ServiceSettings) -> None:
        self._app, self._settings, self._limits = app, settings, settings.limits
        # Bytes of bodies that are read, or whose requests are being answered.
        self._held = 0
        self._token = _digest(settings.token) if settings.token is not None else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its whole body, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                sent = message.setdefault("headers", [])
                has = {name.lower() for name, _ in sent}
                sent += [one for one in HEADERS if one[0] not in has]
            await send(message)

        headers = Headers(scope=scope)
        try:
            self._check(scope, headers)
            body = await self._body(headers, receive)
        except RefusedError as refusal:
            answer = problem_of(refusal)
            lingers = refusal.status in (413, 429)
            send_all = self._reading_on(receive, with_headers) if lingers else with_headers
            await answer(scope, receive, send_all)
            return
        if body is None:  # the client has left
            return
        try:
            await self._app(scope, _replayed(body, receive), with_headers)
        finally:
            self._held -= len(body)

    def _reading_on(self, receive: Receive, send: Send) -> Send:
        """Return a `send` that reads what the client still sends before it ends an answer.

        A client that writes all of a body first would be cut off, and not see why.
        """

        async def reading_on(message: Message) -> None:
            if message["type"] == "http.response.body" and not message.get("more_body"):
                await send({**message, "more_body": True})
                await self._discard(receive)
                message = {"type": "http.response.body"}
            await send(message)

        return reading_on

    async def _discard(self, receive: Receive) -> None:
        """Read and drop a body, up to some times the longest one, for some seconds."""
        left = BODIES * self._limits.body
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(LINGER_SECONDS, self._limits.body_seconds)):
                while left > 0:
                    message = await receive()
                    left -= len(message.get("body", b""))
                    if message["type"] == "http.disconnect" or not message.get("more_body"):
                        return

    def _check(self, scope: Scope, headers: Headers) -> None:
        # A page elsewhere can give its own name the address of this machine (DNS rebinding).
        if self._settings.is_loopback and self._token is None:
            host = _host(headers.get("host", ""))
            if not is_loopback(host):
                raise RefusedError(
                    403,
                    "The service answers only this machine, and the request is for another host. "
                    "Ask it by 127.0.0.1; or serve with a token, which opens it to other names.",
                )
        if scope["method"] not in SAFE_METHODS and not self._is_own(headers):
            raise RefusedError(
                403,
                "The request comes from a page of another origin. Allow that with --cors-origin.",
            )
        if self._token is not None and scope["path"] not in OPEN_PATHS:
            given = given_token(headers)
            if given is None or not hmac.compare_digest(_digest(given), self._token):
                raise RefusedError(
                    401,
                    "The request has no valid token; expected the header Authorization: Bearer "
                    "TOKEN.",
                    headers={"WWW-Authenticate": 'Bearer, Basic realm="retriever"'},
                )

    def _is_own(self, headers: Headers) -> bool:
        origin = headers.get("origin")
        if origin is None or origin in self._settings.cors_origins:
            return True
        return "*" in self._settings.cors_origins or _netloc(origin) == headers.get("host")

    async def _body(self, headers: Headers, receive: Receive) -> bytes | None:
        too_large = RefusedError(
            413,
            f"The body has more than {self._limits.body:,} bytes. Send it in several requests.",
            headers=CLOSE,
        )
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._limits.body:
            raise too_large
        parts, size, whole = list[bytes](), 0, False
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                while not whole:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    self._held += len(parts[-1])
                    if size > self._limits.body:
                        raise too_large
                    if self._held > BODIES * self._limits.body:
                        raise RefusedError(
                            429,
                            "Too many large requests are being answered already. Try again later.",
                            retry_after=RETRY_AFTER,
                            headers=CLOSE,
                        )
                    whole = not message.get("more_body", False)
                return b"".join(parts)
        except TimeoutError:
            raise RefusedError(
                408,
                f"The body did not arrive within {self._limits.body_seconds:g} s.",
                headers=CLOSE,
            ) from None
        finally:
            if not whole:
                self._held -= size


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives a body that was read, then waits for the client to leave."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def given_token(headers: Mapping[str, str]) -> str | None:
    """Return the bearer token of a request, or the password by which a browser sends it."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return None
    return None


def _digest(token: str) -> bytes:
    # Of equal length, whatever is given: comparing takes the same time.
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _host(header: str) -> str:
    """Return a host without its port."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0]


def _netloc(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc or None
    except ValueError:
        return None
