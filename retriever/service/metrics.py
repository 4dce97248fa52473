"""Metrics of a service for Prometheus, of one process or of all that answer together."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

import prometheus_client as prometheus
from prometheus_client import multiprocess
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from retriever.service.access_log import log_access

# Where the processes of a service keep what they count; set before they start.
VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
MEDIA_TYPE = prometheus.CONTENT_TYPE_LATEST
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """What is counted, in a registry of its own: a process may have several services."""

    def __init__(self) -> None:
        self._registry = prometheus.CollectorRegistry()
        registry = self._registry
        self.requests = prometheus.Counter(
            "retriever_requests",
            "Requests that were answered.",
            ("method", "route", "status"),
            registry=registry,
        )
        self.seconds = prometheus.Histogram(
            "retriever_request_seconds",
            "Time from a request's headers to the end of its answer.",
            ("route",),
            buckets=SECONDS,
            registry=registry,
        )
        self._searches = prometheus.Counter(
            "retriever_searches",
            "Queries that an index answered.",
            ("library", "index"),
            registry=registry,
        )
        self.refused = prometheus.Counter(
            "retriever_refused", "Requests refused because too many waited.", registry=registry
        )
        self.inside = prometheus.Gauge(
            "retriever_requests_inside",
            "Requests being answered, or waiting for a thread.",
            registry=registry,
            multiprocess_mode="livesum",
        )

    def count_searches(self, library: str, indexes: Iterable[str], queries: int = 1) -> None:
        """Count queries that indexes answered."""
        for index in indexes:
            self._searches.labels(library, index).inc(queries)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format, of all processes of the service."""
        if not os.environ.get(VARIABLE):
            return prometheus.generate_latest(self._registry)
        everyone = prometheus.CollectorRegistry()
        multiprocess.MultiProcessCollector(everyone)  # type: ignore[no-untyped-call]
        return prometheus.generate_latest(everyone)


class Observed:
    """ASGI middleware that counts, times and, where wished, logs each request."""

    def __init__(self, app: ASGIApp, metrics: Metrics, access_log: bool) -> None:
        self._app, self._metrics, self._access_log = app, metrics, access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            seconds = time.perf_counter() - started
            method = scope["method"] if scope["method"] in METHODS else "other"
            # Not the path, of which clients could make up any number.
            route = getattr(scope.get("route"), "path", "none")
            self._metrics.requests.labels(method, route, status).inc()
            self._metrics.seconds.labels(route).observe(seconds)
            if self._access_log:
                log_access(scope, status, seconds)
