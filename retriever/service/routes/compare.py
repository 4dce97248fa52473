"""`/compare`: one query through several indexes, and who found what."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from retriever.service.comparing import compared
from retriever.service.responses import json_bytes, json_response
from retriever.service.routes.direct import DirectRoute
from retriever.service.routes.fields import How, Library
from retriever.service.state import ServiceState


class CompareBody(How):
    """A query for several indexes; all that answer texts, if none is named."""

    query: str = Field(description="What to search for.")


def router(state: ServiceState) -> APIRouter:
    """Return the router of comparisons."""
    routes = APIRouter(tags=["search"], route_class=DirectRoute)

    @routes.post("/compare", summary="Compare what several indexes find for a query")
    async def compare(body: CompareBody, library: Library = None) -> Response:
        name = state.name_of(library)
        body.check(state.limits)
        state.limits.check_text(body.query)
        return json_response(await state.run(partial(_compared, state, name, body)))

    return routes


def _compared(state: ServiceState, name: str, body: CompareBody) -> bytes:
    collection = state.collections[name]
    indexes = body.indexes or collection.text_indexes()
    how = body.k, body.where, body.options, body.shown
    record = compared(collection, indexes, body.query, *how)
    record["answers"] = [state.public_record(answer) for answer in record["answers"]]
    state.metrics.count_searches(name, indexes)
    return json_bytes({"library": name, **record})
