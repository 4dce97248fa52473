"""What a build of vectors is asked for: checked against what is there, and planned."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from indexes.catalog.kinds import kind_of
from indexes.catalog.records import EmbeddingRow
from indexes.errors import InputError, MismatchError
from indexes.store import Store
from retriever.embedders import Embedder
from retriever.indexing.embedder_pool import EmbedderPool
from retriever.indexing.fingerprints import QUERIES, check_same

DTYPES = ("float32", "float16")


@dataclass(frozen=True)
class BuildRequest:
    """What a call of `build` asked for; see `Collection.build`."""

    embedder: Embedder | None = None
    vectors: str | None = None
    ann: str | None = None
    dtype: str | None = None
    lexical: bool = False
    language: str | None = None
    queries_by: str | None = None
    refit: bool = False

    @property
    def nothing_of_vectors(self) -> bool:
        """Whether it says nothing that only an index of vectors has."""
        own = (self.embedder, self.vectors, self.ann, self.dtype, self.queries_by)
        return all(one is None for one in own)


@dataclass(frozen=True)
class BuildPlan:
    """How to build: with a new embedder, or on an embedding that there is; its own embedder is
    loaded only when there is something to embed.
    """

    embedder: Embedder | None
    embedding: EmbeddingRow | None
    definition: Mapping[str, Any] = field(default_factory=dict)

    @property
    def dim(self) -> int:
        """The width of the vectors."""
        known = self.embedder or self.embedding
        return known.dim if known else 0


@dataclass(frozen=True)
class Planner:
    """Plans the indexes of vectors of one collection; nothing is written yet."""

    store: Store
    models: EmbedderPool

    def plan(self, name: str, wanted: BuildRequest) -> BuildPlan:
        """What to build on: an index that is there, another's vectors, or a new embedding.

        Raises:
            InputError: what is wanted makes no index, or not together.
            MismatchError: it is not what is there.
        """
        _check(wanted)
        there = name in [row.name for row in self.store.indexes()]
        plan = self._plan_again(name, wanted) if there else self._plan_new(name, wanted)
        if plan.embedding and wanted.dtype not in (None, plan.embedding.dtype):
            raise MismatchError(
                f"The vectors of '{wanted.vectors or name}' are stored as "
                f"{plan.embedding.dtype}, not {wanted.dtype}. "
                "Leave dtype out, or build another index with an embedder."
            )
        return plan

    def _plan_new(self, name: str, wanted: BuildRequest) -> BuildPlan:
        if (wanted.embedder is None) == (wanted.vectors is None):
            raise InputError(
                f"Say how to build '{name}': either --embedder KIND:MODEL (an embedder), "
                "or --vectors INDEX to share another index's vectors, or --lexical for BM25."
            )
        definition = _recipe(wanted.ann)
        if wanted.embedder is not None:
            if wanted.queries_by is not None:
                raise InputError(
                    "--queries-by (queries_by) belongs to --vectors INDEX: it encodes queries for "
                    "vectors that are there."
                )
            return BuildPlan(wanted.embedder, None, definition)
        embedding = self.store.embedding(str(wanted.vectors))
        if wanted.queries_by is not None:
            of, by = str(wanted.vectors), wanted.queries_by
            definition |= {QUERIES: self.models.for_queries_of(of, embedding, by)}
        return BuildPlan(None, embedding, definition)

    def _plan_again(self, name: str, wanted: BuildRequest) -> BuildPlan:
        index, embedding = self.store.index(name), self.store.embedding(name)
        embedder = wanted.embedder
        if embedder is not None:
            embedder = self.models.as_fitted(name, embedder)
            check_same(name, embedding, embedder)
            self.models.keep(embedder)
        has = index.definition.get("factory", "Flat")
        by = index.definition.get(QUERIES, {}).get("name")
        vectors = wanted.vectors
        shares = vectors is None or self.store.embedding(vectors).number == embedding.number
        # A structure that FAISS refused or that was cut short may be exchanged for another.
        settled = not kind_of(index.kind).has_structure or index.file is not None
        other = not shares or (settled and wanted.ann not in (None, has))
        if other or wanted.queries_by not in (None, by):
            queries = f", queries by {by}" if by else ""
            raise MismatchError(
                f"Index '{name}' is there already ({has} over {embedding.model}{queries}). "
                f"Choose another name, or first: retriever drop {self._quoted} {name}"
            )
        definition = _recipe(wanted.ann or has)
        if QUERIES in index.definition:
            definition[QUERIES] = index.definition[QUERIES]
        if wanted.queries_by is not None:
            # Named again, the model is taken as it is now.
            definition[QUERIES] = self.models.for_queries_of(name, embedding, wanted.queries_by)
        return BuildPlan(embedder, embedding, definition)

    @property
    def _quoted(self) -> str:
        """The folder as a shell takes it, for advice."""
        return shlex.quote(str(self.store.folder))


def check_dtype(dtype: str | None) -> None:
    """Check how vectors are to be stored; None leaves it to the default.

    Raises:
        InputError: not one of `DTYPES`.
    """
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
    check_dtype(wanted.dtype)


def _recipe(ann: str | None) -> dict[str, Any]:
    """With a FAISS factory string; without one for exact search."""
    return {} if ann in (None, "Flat") else {"factory": ann}
