"""Closed-loop clients of an HTTP server: each sends its next request when it has an answer."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["Load", "Requests", "loaded", "post"]


@dataclass(frozen=True)
class Requests:
    """Whole HTTP/1.1 requests to a port of this machine, sent in turns; `hits` counts an answer's.

    An answer with another number of hits than `k` is wrong.
    """

    port: int
    messages: Sequence[bytes]
    hits: Callable[[Any], int]
    k: int


@dataclass
class Load:
    """Latencies (seconds) of answers, by when they came; what was wrong; and the time in all."""

    latencies: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __iadd__(self, other: Load) -> Load:
        self.latencies += other.latencies
        self.wrong += other.wrong
        self.seconds += other.seconds
        return self

    def summary(self) -> dict[str, float]:
        """Return percentiles in milliseconds, answers per second, and the number of wrong ones."""
        p50, p95, p99 = np.percentile(self.latencies, [50, 95, 99]) * 1000
        return {
            "p50_ms": round(float(p50), 3),
            "p95_ms": round(float(p95), 3),
            "p99_ms": round(float(p99), 3),
            "per_second": round(len(self.latencies) / self.seconds, 1),
            "answers": len(self.latencies),
            "wrong": len(self.wrong),
        }


def post(port: int, path: str, body: Any) -> bytes:
    """Return a POST of JSON as it is sent."""
    sent = json.dumps(body).encode()
    head = {
        "Host": f"127.0.0.1:{port}",
        "Content-Type": "application/json",
        "Content-Length": str(len(sent)),
    }
    return _request(f"POST {path}", head) + sent


def get(port: int, path: str) -> bytes:
    """Return a GET as it is sent."""
    return _request(f"GET {path}", {"Host": f"127.0.0.1:{port}", "Accept": "application/json"})


def _request(line: str, head: Mapping[str, str]) -> bytes:
    fields = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return f"{line} HTTP/1.1\r\n{fields}\r\n".encode()


def loaded(asked: Requests, clients: int, *, seconds: float = 0.0, most: int = 0) -> Load:
    """Ask by so many clients at once, for some seconds or up to `most` requests, or the first."""
    return asyncio.run(_loaded(asked, clients, seconds, most))


async def _loaded(asked: Requests, clients: int, seconds: float, most: int) -> Load:
    messages = itertools.cycle(asked.messages)
    load, left = Load(), itertools.count(1)
    started = time.perf_counter()

    def goes_on() -> bool:
        in_time = not seconds or time.perf_counter() - started < seconds
        return in_time and (not most or next(left) <= most)

    await asyncio.gather(*(_client(asked, messages, goes_on, load) for _ in range(clients)))
    load.seconds = time.perf_counter() - started
    return load


async def _client(
    asked: Requests, messages: Iterator[bytes], goes_on: Callable[[], bool], load: Load
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", asked.port, limit=2**22)
    checked = 0
    while goes_on():
        sent = time.perf_counter()
        writer.write(next(messages))
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(_length(head))
        load.latencies.append(time.perf_counter() - sent)
        # Reading all answers would take the time of the server that is measured.
        if not head.startswith(b"HTTP/1.1 200"):
            load.wrong.append(f"{head.decode()}{body[:500].decode()}")
        elif checked % 50 == 0 and asked.hits(json.loads(body)) != asked.k:
            load.wrong.append(body[:500].decode())
        checked += 1
    writer.close()
    await writer.wait_closed()


def _length(head: bytes) -> int:
    at = head.lower().index(b"content-length:") + len(b"content-length:")
    return int(head[at : head.index(b"\r", at)])
