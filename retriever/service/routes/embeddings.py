"""`/v1/embeddings` and `/v1/models`, shaped like OpenAI's, so that its clients can be used."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from indexes.catalog.records import kind_of
from indexes.errors import InputError
from retriever.embedders.base import Matrix, ReportsCoverage
from retriever.search.finders import DenseFinder
from retriever.service.responses import json_bytes, json_response
from retriever.service.routes.fields import Body, Library, check_batch
from retriever.service.state import ServiceState


class EmbeddingsBody(Body):
    """Texts to embed by the model of an index."""

    input: str | list[str] = Field(description="A text, or several.")
    model: str = Field(description="The index whose model to use: INDEX, or LIBRARY/INDEX.")
    encoding_format: Literal["float", "base64"] = "float"
    input_type: Literal["document", "query"] = Field(
        "document", description="Which of a model's two encodings, where it has two."
    )
    dimensions: int | None = Field(None, description="Only the width of the model.")
    user: str | None = Field(None, description="Ignored.")


def router(state: ServiceState) -> APIRouter:
    """Return the router of embeddings."""
    routes = APIRouter(prefix="/v1", tags=["embeddings"])

    @routes.post("/embeddings", summary="Embed texts by the model of an index")
    async def embeddings(body: EmbeddingsBody, library: Library = None) -> Response:
        texts = [body.input] if isinstance(body.input, str) else body.input
        check_batch("input", len(texts), state.limits)
        for text in texts:
            state.limits.check_text(text)
        if not texts:
            raise InputError("'input' is empty; give at least one text.")
        if not all(text.strip() for text in texts):
            raise InputError("'input' has an empty text; expected one text, or several.")
        return json_response(await state.run(partial(_embedded, state, library, body, texts)))

    @routes.get("/models", summary="List the indexes that have a model")
    async def models(library: Library = None) -> Response:
        names = list(state.collections) if library is None else [state.name_of(library)]
        return json_response(await state.run(partial(_models, state, names)))

    return routes


def _embedded(
    state: ServiceState, library: str | None, body: EmbeddingsBody, texts: list[str]
) -> bytes:
    index = body.model
    if len(state.collections) > 1:
        library = library and state.name_of(library)
        named, _, index = body.model.rpartition("/")
        if library and named not in ("", library):
            raise InputError(f"'{body.model}' is no model of '{library}', which was asked for.")
        library = library or named or None
    name = state.name_of(library)
    collection = state.collections[name]
    finder = collection.retriever(index).finder
    if not isinstance(finder, DenseFinder):
        raise InputError(f"Index '{index}' has no model of its own that embeds texts.")
    # The embedder of queries may be another one, distilled from that of the documents.
    is_query = body.input_type == "query"
    embedder: Any = finder.embedder if is_query else collection.embedder(index)
    if body.dimensions not in (None, embedder.dim):
        raise InputError(
            f"'dimensions' is {body.dimensions}; the vectors of '{index}' are {embedder.dim} wide."
        )
    vectors = (embedder.encode_queries if is_query else embedder.encode_documents)(texts)
    tokens = _tokens(embedder, texts)
    data = [
        {"object": "embedding", "index": place, "embedding": _shown(row, body.encoding_format)}
        for place, row in enumerate(np.asarray(vectors, np.float32))
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return json_bytes({"object": "list", "data": data, "model": body.model, "usage": usage})


def _shown(vector: Matrix, encoding: str) -> list[float] | str:
    if encoding == "float":
        return vector.tolist()  # type: ignore[no-any-return]
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


def _tokens(embedder: object, texts: list[str]) -> int:
    """Return the number of tokens that a model reads, or of words."""
    if not isinstance(embedder, ReportsCoverage):
        return sum(len(text.split()) for text in texts)
    report = embedder.report_queries(texts)
    return report.tokens or report.words


def _models(state: ServiceState, names: Sequence[str]) -> bytes:
    """Return the models of some collections, by the names that an embedding takes there."""
    several = len(names) > 1
    data = [
        {
            "id": f"{name}/{one.name}" if several else one.name,
            "object": "model",
            "created": 0,
            "owned_by": name,
        }
        for name in names
        for one in state.collections[name].info().indexes
        if kind_of(one.kind).has_vectors
    ]
    return json_bytes({"object": "list", "data": data})
