"""`/health`, `/ready` and `/metrics`: for what starts and watches the service."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from fastapi.responses import Response

from indexes.errors import RefusedError
from retriever.service.metrics import MEDIA_TYPE
from retriever.service.problems import RETRY_AFTER
from retriever.service.responses import json_bytes, json_response
from retriever.service.state import ServiceState


def router(state: ServiceState) -> APIRouter:
    """Return the router of what concerns the service itself."""
    routes = APIRouter(tags=["operation"])

    @routes.head("/health", include_in_schema=False)
    @routes.get("/health", summary="Say that the process lives")
    async def health() -> Response:
        return json_response(json_bytes({"status": "ok"}))

    @routes.head("/ready", include_in_schema=False)
    @routes.get("/ready", summary="Say whether the service can answer")
    async def ready() -> Response:
        if not state.is_ready:
            raise RefusedError(503, "The models are being loaded.", retry_after=RETRY_AFTER)
        await asyncio.to_thread(state.check_collections)
        return json_response(json_bytes({"status": "ready"}))

    @routes.get("/metrics", summary="Metrics for Prometheus")
    async def metrics() -> Response:
        return Response(await asyncio.to_thread(state.metrics.text), media_type=MEDIA_TYPE)

    return routes
