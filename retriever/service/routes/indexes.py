"""`/libraries` and `/indexes`: what is served, and bringing indexes up to date."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter
from fastapi.responses import Response

from retriever.records import info_record
from retriever.service.responses import json_bytes, json_response
from retriever.service.routes.documents import writable
from retriever.service.routes.fields import Library
from retriever.service.state import ServiceState


def router(state: ServiceState) -> APIRouter:
    """Return the router of collections and their indexes."""
    routes = APIRouter(tags=["indexes"])

    @routes.get("/libraries", summary="List the collections")
    async def libraries() -> Response:
        return json_response(await state.run(partial(_libraries, state)))

    @routes.get("/indexes", summary="Show the indexes of a collection, with sizes and times")
    async def indexes(library: Library = None) -> Response:
        name = state.name_of(library)
        return json_response(await state.run(partial(_indexes, state, name)))

    @routes.post(
        "/indexes/update",
        summary="Bring all indexes up to date with the documents, in the background",
        status_code=202,
    )
    async def update(library: Library = None) -> Response:
        name = writable(state, library)
        state.writing.update(name)
        record = {"library": name, "update": state.writing.update_record(name)}
        return json_response(json_bytes(record), 202)

    return routes


def _libraries(state: ServiceState) -> bytes:
    found = [
        {"name": name, "documents": len(one), "indexes": one.index_names()}
        for name, one in state.collections.items()
    ]
    return json_bytes({"libraries": found})


def _indexes(state: ServiceState, name: str) -> bytes:
    record = state.public_record(info_record(state.collections[name].info(), name))
    update = state.writing.update_record(name)
    return json_bytes({"library": name, **record, "update": update})
