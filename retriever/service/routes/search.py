"""`/search` and `/search/batch`: texts, images, vectors and documents to be like."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from indexes.errors import InputError
from indexes.images import Image
from retriever.collection import Collection
from retriever.search.like import Like
from retriever.search.queries import AnyQuery, QueryVector, validate_queries
from retriever.search.results import Hits
from retriever.service.answering import answer_many, answer_record
from retriever.service.quick import Shape
from retriever.service.responses import json_bytes, json_response
from retriever.service.routes.direct import DirectRoute
from retriever.service.routes.fields import How, Library, check_batch
from retriever.service.state import ServiceState

# What a search may have that takes as long as others of its kind.
PLAIN = frozenset({"query", "vector", "indexes", "k", "fields", "text"})
PLAIN_K, PLAIN_TEXT = 100, 1_000


class SearchBody(How):
    """A search by a text, an image, a vector, or documents to be like: exactly one of them."""

    query: str | None = Field(None, description="What to search for.")
    image: str | None = Field(None, description="The bytes of an image file, in base64.")
    vector: list[float] | None = Field(None, description="A vector of the model of the index.")
    like: list[str] = Field([], description="Ids of documents that hits should be like.")
    unlike: list[str] = Field([], description="With `like`: documents not to be like.")


class BatchBody(How):
    """Many searches at once, by texts or by vectors."""

    queries: list[str] | dict[str, str] = Field([], description="Texts, or texts by id.")
    vectors: list[list[float]] = Field([], description="Vectors of the model of the index.")


def router(state: ServiceState) -> APIRouter:
    """Return the router of searches."""
    routes = APIRouter(tags=["search"], route_class=DirectRoute)

    @routes.post("/search", summary="Search one index, or several side by side")
    async def search(body: SearchBody, library: Library = None) -> Response:
        name = state.name_of(library)
        _check(body, state)
        answer, shape = partial(_search, state, name, body), _shape(name, body)
        if shape is None:
            return json_response(await state.run(answer))
        at_once = partial(_search_if_unchanged, state, name, body)
        return json_response(await state.search(shape, answer, at_once))

    @routes.post("/search/batch", summary="Search for many queries")
    async def batch(body: BatchBody, library: Library = None) -> Response:
        name = state.name_of(library)
        body.check(state.limits)
        if bool(body.queries) == bool(body.vectors):
            given = body.model_fields_set & {"queries", "vectors"}
            if len(given) == 1:
                raise InputError(f"'{given.pop()}' is empty; give at least one.")
            raise InputError("Give 'queries' or 'vectors', and not both.")
        check_batch("queries", len(body.queries), state.limits)
        check_batch("vectors", len(body.vectors), state.limits)
        for text in body.queries.values() if isinstance(body.queries, dict) else body.queries:
            state.limits.check_text(text)
        content = await state.run(partial(_batch, state, name, body))
        return json_response(content)

    return routes


def _check(body: SearchBody, state: ServiceState) -> None:
    body.check(state.limits)
    like = body.like or body.unlike or None
    if [body.query, body.image, body.vector, like].count(None) != 3:
        raise InputError(
            "Give one of these: 'query', 'image', 'vector', or 'like' with ids of documents."
        )
    check_batch("like", len(body.like) + len(body.unlike), state.limits)
    if body.query is not None:
        state.limits.check_text(body.query)


def _shape(library: str, body: SearchBody) -> Shape | None:
    """Return the shape of a plain search of one index, or None if it may take any time."""
    indexes = body.indexes or ()
    if len(indexes) != 1 or not body.model_fields_set <= PLAIN or body.k > PLAIN_K:
        return None
    if body.vector is not None:
        return Shape(library, indexes[0], "vector")
    if body.query is None or len(body.query) > PLAIN_TEXT:
        return None
    return Shape(library, indexes[0], "text")


def _search(state: ServiceState, name: str, body: SearchBody) -> bytes:
    """Return what each index answers, as JSON."""
    collection = state.collections[name]
    default: Callable[[], list[str]] = collection.default_indexes
    if body.vector is not None:
        default = partial(_of_vectors, collection)
    elif body.image is not None:
        default = collection.image_indexes
    indexes = body.indexes or default()
    text = body.query or ""
    if body.like:
        text = str(Like.of(body.like, body.unlike))
    found = {index: _hits(collection, index, body) for index in indexes}
    return _answers(state, name, body, text, found)


def _search_if_unchanged(state: ServiceState, name: str, body: SearchBody) -> bytes | None:
    """Return what `_search` does for a plain search; see `Collection.search_if_unchanged`."""
    index, collection = (body.indexes or [""])[0], state.collections[name]
    hits = collection.search_if_unchanged(body.query, vector=body.vector, index=index, k=body.k)
    return None if hits is None else _answers(state, name, body, body.query or "", {index: hits})


def _answers(
    state: ServiceState, name: str, body: SearchBody, text: str, found: Mapping[str, Hits]
) -> bytes:
    """Return the hits of each index as JSON."""
    collection, answers = state.collections[name], []
    for index, hits in found.items():
        record = answer_record(collection, "", text, index, hits, body.shown)
        answers.append(state.public_record(record))
    state.metrics.count_searches(name, found)
    query = {"query": body.query} if body.query is not None else {}
    return json_bytes({"library": name, **query, "answers": answers})


def _hits(collection: Collection, index: str, body: SearchBody) -> Hits:
    image = None if body.image is None else _image(body.image)
    how: dict[str, Any] = {"where": body.where, "mmr": body.mmr}
    how |= {"all_words": body.all_words, "phrase": body.phrase}
    how |= {"like": body.like, "unlike": body.unlike, "vector": body.vector}
    return collection.search(body.query, image=image, index=index, k=body.k, **how)


def _image(given: str) -> Image:
    """Return an image of a request; a path or an address is none, and nothing is opened."""
    try:
        return Image.of_bytes(base64.b64decode(given, validate=True))
    except ValueError:
        raise InputError(
            "'image' is not in base64; expected the bytes of an image file, encoded so."
        ) from None


def _of_vectors(collection: Collection) -> list[str]:
    return [collection.vector_retriever().name]


def _batch(state: ServiceState, name: str, body: BatchBody) -> bytes:
    collection = state.collections[name]
    queries: dict[str, AnyQuery] = {}
    if isinstance(body.queries, dict):
        queries = dict(body.queries)
    else:
        given: Sequence[AnyQuery] = body.queries or [QueryVector.of(row) for row in body.vectors]
        queries = {str(number): query for number, query in enumerate(given, 1)}
    default = partial(_of_vectors, collection) if body.vectors else collection.default_indexes
    indexes = body.indexes or default()
    asked, vectors = validate_queries(queries.values(), list(queries)), bool(body.vectors)
    answers: dict[str, list[Hits]] = {}
    for index in indexes:
        answers[index], _ = answer_many(
            collection, index, asked, body.k, body.where, body.options, vectors=vectors
        )
        state.metrics.count_searches(name, [index], len(asked))
    results = []
    for place, (query_id, query) in enumerate(queries.items()):
        text = query if isinstance(query, str) else ""
        found = []
        for index in indexes:
            hits = answers[index][place]
            record = answer_record(collection, query_id, text, index, hits, body.shown)
            found.append(state.public_record(record))
        results.append({"query_id": query_id, "query": text, "answers": found})
    return json_bytes({"library": name, "results": results})
