"""Requests to build an index of vectors: validated, and turned into plans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from indexes.catalog.kinds import kind_of
from indexes.catalog.records import EmbeddingRow
from indexes.errors import InputError, MismatchError
from indexes.store import Store
from retriever.advice import shell_command
from retriever.embedders import Embedder, modalities_of
from retriever.indexing.embedder_pool import EmbedderPool
from retriever.indexing.fingerprints import QUERIES, check_same_embedder

DTYPES = ("float32", "float16")


@dataclass(frozen=True)
class BuildRequest:
    """The arguments of a call of `build`; see `Collection.build`."""

    embedder: Embedder | None = None
    vectors: str | None = None
    ann: str | None = None
    dtype: str | None = None
    lexical: bool = False
    language: str | None = None
    queries_by: str | None = None
    refit: bool = False

    @property
    def has_no_vector_options(self) -> bool:
        """Whether no option is set that only an index of vectors has."""
        own = (self.embedder, self.vectors, self.ann, self.dtype, self.queries_by)
        return all(one is None for one in own)


@dataclass(frozen=True)
class BuildPlan:
    """What to build on: a new embedder, or an existing embedding, whose own is loaded if needed."""

    embedder: Embedder | None
    embedding: EmbeddingRow | None
    definition: Mapping[str, Any]

    @property
    def dim(self) -> int:
        """The width of the vectors."""
        known = self.embedder or self.embedding
        return known.dim if known else 0


def plan(store: Store, models: EmbedderPool, name: str, wanted: BuildRequest) -> BuildPlan:
    """Plan an index on its own vectors, another's, or a new embedding; write nothing yet."""
    _check(wanted)
    exists = name in [row.name for row in store.indexes()]
    planned = (_update if exists else _new)(store, models, name, wanted)
    if planned.embedding and wanted.dtype not in (None, planned.embedding.dtype):
        raise MismatchError(
            f"The vectors of '{wanted.vectors or name}' are stored as {planned.embedding.dtype}, "
            f"not {wanted.dtype}. Leave dtype out, or build another index with an embedder."
        )
    return planned


def _new(store: Store, models: EmbedderPool, name: str, wanted: BuildRequest) -> BuildPlan:
    if (wanted.embedder is None) == (wanted.vectors is None):
        raise InputError(
            f"Say how to build '{name}': either --embedder KIND:MODEL (an embedder), "
            "or --vectors INDEX to share another index's vectors, or --lexical for BM25."
        )
    definition = _definition(wanted.ann)
    if wanted.embedder is not None:
        if wanted.queries_by is not None:
            raise InputError(
                "--queries-by (queries_by) belongs to --vectors INDEX: it encodes queries for "
                "existing vectors."
            )
        return BuildPlan(wanted.embedder, None, definition)
    vectors = str(wanted.vectors)
    embedding = store.embedding(vectors)
    if wanted.queries_by is not None:
        definition[QUERIES] = models.for_queries_of(vectors, embedding, wanted.queries_by)
    return BuildPlan(None, embedding, definition)


def _update(store: Store, models: EmbedderPool, name: str, wanted: BuildRequest) -> BuildPlan:
    index, embedding = store.index(name), store.embedding(name)
    embedder = wanted.embedder
    if embedder is not None:
        embedder = models.as_fitted(name, embedder)
        check_same_embedder(name, embedding, embedder)
        models.keep(embedder)
    factory = index.definition.get("factory", "Flat")
    by = index.definition.get(QUERIES, {}).get("name")
    vectors = wanted.vectors
    shares = vectors is None or store.embedding(vectors).number == embedding.number
    # A structure that FAISS refused or that was cut short may be exchanged for another.
    settled = not kind_of(index.kind).has_structure or index.file is not None
    other = not shares or (settled and wanted.ann not in (None, factory))
    if other or wanted.queries_by not in (None, by):
        queries = f", queries by {by}" if by else ""
        raise MismatchError(
            f"Index '{name}' already exists ({factory} over {embedding.model}{queries}). "
            f"Choose another name, or first: {shell_command('drop', store.folder, name)}"
        )
    definition = _definition(wanted.ann or factory)
    if wanted.queries_by is not None:
        # Named again, the model is taken as it is now.
        definition[QUERIES] = models.for_queries_of(name, embedding, wanted.queries_by)
    elif QUERIES in index.definition:
        definition[QUERIES] = index.definition[QUERIES]
    return BuildPlan(embedder, embedding, definition)


def check_dtype(dtype: str | None) -> None:
    """Raise an InputError unless vectors can be stored so; None is the default."""
    if dtype is not None and dtype not in DTYPES:
        raise InputError(f"dtype is {dtype!r}; expected one of: {', '.join(DTYPES)}.")


def _check(wanted: BuildRequest) -> None:
    embedder = wanted.embedder
    if embedder is not None and not isinstance(embedder, Embedder):
        kind = type(embedder).__name__
        raise InputError(
            f"The embedder is {kind}; expected an object with name, dim, fingerprint, "
            "encode_documents and encode_queries, such as StaticEmbedder('glove-6b-50d')."
        )
    if embedder is not None and "text" not in (takes := modalities_of(embedder)):
        raise InputError(
            f"The embedder {embedder.name} encodes {', '.join(takes) or 'nothing'}, not text; "
            "the passages of a collection are text. Choose an embedder of text."
        )
    check_dtype(wanted.dtype)


def _definition(ann: str | None) -> dict[str, Any]:
    """Return the definition for a FAISS factory string; without one, search is exact."""
    return {} if ann in (None, "Flat") else {"factory": ann}
