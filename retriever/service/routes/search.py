"""`/search` and `/search/batch`: queries, vectors and documents to be like."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from indexes.errors import InputError
from retriever.collection import Collection
from retriever.search.like import Like
from retriever.search.queries import AnyQuery, QueryVector
from retriever.search.results import Hits
from retriever.service.answering import answer_many, answer_record
from retriever.service.responses import json_bytes, json_response
from retriever.service.routes.fields import How, Library, check_batch, check_text
from retriever.service.state import ServiceState


class SearchBody(How):
    """A search by a text, a vector, or documents to be like: exactly one of them."""

    query: str | None = Field(None, description="What to search for.")
    vector: list[float] | None = Field(None, description="A vector of the model of the index.")
    like: list[str] = Field([], description="Ids of documents that hits should be like.")
    unlike: list[str] = Field([], description="With `like`: documents not to be like.")


class BatchBody(How):
    """Many searches at once, by texts or by vectors."""

    queries: list[str] | dict[str, str] = Field([], description="Texts, or texts by id.")
    vectors: list[list[float]] = Field([], description="Vectors of the model of the index.")


def router(state: ServiceState) -> APIRouter:
    """Return the router of searches."""
    routes = APIRouter(tags=["search"])

    @routes.post("/search", summary="Search one index, or several side by side")
    async def search(body: SearchBody, library: Library = None) -> Response:
        name = state.name_of(library)
        _check(body, state)
        found = await _answers(state, name, body)
        state.metrics.count_searches(name, found)
        query = {"query": body.query} if body.query is not None else {}
        answers = [found[index] for index in found]
        # Each answer is JSON already, made in its thread.
        head = json_bytes({"library": name, **query})[:-1]
        return json_response(head + b',"answers":[' + b",".join(answers) + b"]}")

    @routes.post("/search/batch", summary="Search for many queries")
    async def batch(body: BatchBody, library: Library = None) -> Response:
        name = state.name_of(library)
        body.check(state.limits)
        if bool(body.queries) == bool(body.vectors):
            raise InputError("Give 'queries' or 'vectors', and not both.")
        check_batch("queries", len(body.queries), state.limits)
        check_batch("vectors", len(body.vectors), state.limits)
        for text in body.queries.values() if isinstance(body.queries, dict) else body.queries:
            check_text(text, state.limits)
        content = await state.run(partial(_batch, state, name, body))
        return json_response(content)

    return routes


def _check(body: SearchBody, state: ServiceState) -> None:
    body.check(state.limits)
    like = body.like or body.unlike or None
    if [body.query, body.vector, like].count(None) != 2:
        raise InputError("Give one of these: 'query', 'vector', or 'like' with ids of documents.")
    check_batch("like", len(body.like) + len(body.unlike), state.limits)
    if body.query is not None:
        check_text(body.query, state.limits)


async def _answers(state: ServiceState, name: str, body: SearchBody) -> dict[str, bytes]:
    """Return what each index answers, as JSON."""
    collection = state.collections[name]
    default: Callable[[], list[str]] = collection.default_indexes
    if body.vector is not None:
        default = partial(_of_vectors, collection)
    indexes = body.indexes or []
    if not indexes:
        indexes = await state.run(default)
    if body.vector is None and body.query is None:
        found = await state.run(partial(_like, state, name, indexes, body))
        return dict(zip(indexes, found, strict=True))
    query = body.query if body.vector is None else QueryVector.of(body.vector)
    how = body.model_dump(exclude={"query", "vector", "indexes"})
    asked = []
    for index in indexes:
        kind = name, index, body.vector is None, json.dumps(how, sort_keys=True)
        asked.append(state.ask(kind, query, partial(_together, state, name, index, body)))
    return dict(zip(indexes, await asyncio.gather(*asked), strict=True))


def _of_vectors(collection: Collection) -> list[str]:
    return [collection.vector_retriever().name]


def _together(
    state: ServiceState, name: str, index: str, body: SearchBody, queries: Sequence[AnyQuery]
) -> list[bytes]:
    """Return the answers of an index to queries that differ in nothing else, as JSON."""
    collection = state.collections[name]
    how = body.k, body.where, body.options
    found, _ = answer_many(collection, index, queries, *how, vectors=body.vector is not None)
    return [
        _bytes(state, name, body, index, query if isinstance(query, str) else "", hits)
        for query, hits in zip(queries, found, strict=True)
    ]


def _like(state: ServiceState, name: str, indexes: Sequence[str], body: SearchBody) -> list[bytes]:
    how: dict[str, Any] = {"like": body.like, "unlike": body.unlike, "k": body.k}
    how |= {"where": body.where, "mmr": body.mmr}
    how |= {"all_words": body.all_words, "phrase": body.phrase}
    text = str(Like.of(body.like, body.unlike))
    return [
        _bytes(state, name, body, index, text, state.collections[name].search(index=index, **how))
        for index in indexes
    ]


def _bytes(
    state: ServiceState, name: str, body: SearchBody, index: str, text: str, hits: Hits
) -> bytes:
    record = answer_record(state.collections[name], "", text, index, hits, body.shown)
    record["notes"] = [state.public(note) for note in record["notes"]]
    return json_bytes(record)


def _batch(state: ServiceState, name: str, body: BatchBody) -> bytes:
    collection = state.collections[name]
    queries: dict[str, AnyQuery] = {}
    if isinstance(body.queries, dict):
        queries = dict(body.queries)
    else:
        given: Sequence[AnyQuery] = body.queries or [QueryVector.of(row) for row in body.vectors]
        queries = {str(number): query for number, query in enumerate(given, 1)}
    default = _of_vectors(collection) if body.vectors else collection.default_indexes()
    indexes = body.indexes or default
    asked, vectors = list(queries.values()), bool(body.vectors)
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
            record["notes"] = [state.public(note) for note in record["notes"]]
            found.append(record)
        results.append({"query_id": query_id, "query": text, "answers": found})
    return json_bytes({"library": name, "results": results})
