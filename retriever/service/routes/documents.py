"""`/documents`: reading, and where the service may write, adding, changing and deleting."""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import Field

from indexes.document import Document
from indexes.errors import InputError, RefusedError
from retriever.records import added_record, document_record
from retriever.service.responses import json_bytes, json_response
from retriever.service.routes.fields import Body, Library, check_batch
from retriever.service.state import ServiceState

Ids = Annotated[list[str] | None, Query(description="Ids of documents; may be repeated.")]
Where = Annotated[str | None, Query(description="A filter on metadata, such as `year >= 2020`.")]


class DocumentBody(Body):
    """A document; one of the same id is replaced."""

    doc_id: str
    text: str
    title: str = ""
    metadata: dict[str, Any] = Field({})


class UpsertBody(Body):
    """Documents to add or change."""

    documents: list[DocumentBody] = Field(min_length=1)
    update: bool = Field(
        False, description="Whether to bring all indexes up to date afterwards, in the background."
    )


def router(state: ServiceState) -> APIRouter:
    """Return the router of documents; it writes only where the settings allow it."""
    routes = APIRouter(tags=["documents"])

    @routes.get("/documents", summary="Get documents by their ids, or a page of those that match")
    async def get(
        library: Library = None,
        id: Ids = None,  # noqa: A002 - the name of the parameter
        where: Where = None,
        after: Annotated[
            str | None,
            Query(description="Only documents after that of this id: the last of a page before."),
        ] = None,
        limit: Annotated[int, Query(ge=1, description="At most so many, without `id`.")] = 10,
    ) -> Response:
        name = state.name_of(library)
        if id and (where, after) != (None, None):
            raise InputError("Give either 'id' or 'where' and 'after'.")
        check_batch("id", len(id or ()), state.limits)
        if limit > state.limits.batch:
            raise InputError(
                f"limit is {limit:,}; this service returns at most {state.limits.batch:,} at once. "
                "Ask for the next ones with after=ID, the id of the last document."
            )
        wanted = partial(_read, state, name, id, where, after, limit)
        return json_response(await state.run(wanted))

    @routes.post("/documents", summary="Add or change documents")
    async def upsert(body: UpsertBody, library: Library = None) -> Response:
        name = writable(state, library)
        check_batch("documents", len(body.documents), state.limits)
        return json_response(await state.write(partial(_upsert, state, name, body)))

    @routes.delete("/documents", summary="Delete documents by their ids, or all that match")
    async def delete(
        library: Library = None,
        id: Ids = None,  # noqa: A002 - the name of the parameter
        where: Where = None,
    ) -> Response:
        name = writable(state, library)
        check_batch("id", len(id or ()), state.limits)
        return json_response(await state.write(partial(_delete, state, name, id, where)))

    return routes


def writable(state: ServiceState, library: str | None) -> str:
    """Return the name of a collection that may be written to."""
    if not state.settings.write:
        raise RefusedError(403, "This service only reads; documents can be changed with --write.")
    return state.name_of(library)


def _read(
    state: ServiceState,
    name: str,
    ids: list[str] | None,
    where: str | None,
    after: str | None,
    limit: int,
) -> bytes:
    collection = state.collections[name]
    if ids:
        found = [collection.document(doc_id) for doc_id in dict.fromkeys(ids)]
    else:
        found = list(islice(collection.documents(where=where, after=after), limit))
    return json_bytes({"library": name, "documents": [document_record(one) for one in found]})


def _upsert(state: ServiceState, name: str, body: UpsertBody) -> bytes:
    documents = [_document(place, one) for place, one in enumerate(body.documents, 1)]
    places = dict[str, int]()
    for place, one in enumerate(documents, 1):
        if places.setdefault(one.doc_id, place) != place:
            raise InputError(
                f"Documents {places[one.doc_id]} and {place} have the same id, '{one.doc_id}'. "
                "Give one of them. Nothing was added."
            )
    with state.writing.turn(name) as collection:
        added = collection.add(documents)
        record = {"library": name, **added_record(added, len(collection))}
    if body.update:
        state.writing.update(name)
    return json_bytes(record)


def _document(place: int, given: DocumentBody) -> Document:
    try:
        return Document(given.doc_id, given.text, given.title, given.metadata)
    except InputError as error:
        raise InputError(f"Document {place}: {error}. Nothing was added.") from None


def _delete(state: ServiceState, name: str, ids: list[str] | None, where: str | None) -> bytes:
    with state.writing.turn(name) as collection:
        deleted = collection.delete(ids, where=where)
        record = {"library": name, "deleted": deleted, "documents": len(collection)}
    return json_bytes(record)
