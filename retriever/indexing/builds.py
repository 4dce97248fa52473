"""Builds of vector indexes: requests, validated and turned into plans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from indexes.catalog.records import ASKED, AUTO, EmbeddingRow, kind_of
from indexes.errors import InputError, MismatchError, check_text, short_repr
from indexes.pipeline.executors.base import Executor
from indexes.store import Store
from indexes.vectors.engines import remote_definition
from indexes.vectors.remote.engine import ENGINE
from retriever.advice import shell_command
from retriever.embedders import Embedder, modalities_of, similarity_of
from retriever.embedders.base import IMAGE, TEXT, is_sparse
from retriever.formats.vectors.reading import VectorFile
from retriever.indexing.embedder_pool import EmbedderPool, check_embedder
from retriever.indexing.fingerprints import QUERIES, check_same_embedder

DTYPES = ("float32", "float16")
FLAT = "Flat"  # FAISS's name
# What `ann` may be other than a FAISS factory string, in any case of letters.
AUTOMATIC, EXACT = "auto", ("exact", "flat")
# The recall@10 that is asked of a structure unless another is given.
RECALL = 0.98


@dataclass(frozen=True)
class WordOptions:
    """The options of `LexicalOptions` that a call of `build` names; None: as they are."""

    language: str | None = None
    stopwords: bool | None = None
    k1: float | None = None
    b: float | None = None

    @property
    def given(self) -> dict[str, Any]:
        """Those that are named."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class BuildRequest:
    """The arguments of a call of `build`; see `Collection.build`."""

    embedder: Embedder | None = None
    vectors: str | None = None
    ann: str | None = None
    dtype: str | None = None
    lexical: bool = False
    words: WordOptions = WordOptions()
    queries_by: str | Embedder | None = None
    refit: bool = False
    recall: float | None = None
    imported: VectorFile | None = None
    similarity: str | None = None
    allow_missing: bool = False
    workers: Executor | None = None
    engine: str | None = None
    engine_options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def has_no_vector_options(self) -> bool:
        """Whether no option is set that only an index of vectors has."""
        own = (self.embedder, self.vectors, self.ann, self.dtype, self.queries_by)
        return all(one is None for one in (*own, self.recall, self.imported, self.engine))


@dataclass(frozen=True)
class BuildPlan:
    """What to build on: a new embedder, or an existing embedding (its embedder loads on demand)."""

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
    sparse = planned.embedding.is_sparse if planned.embedding else is_sparse(planned.embedder)
    if sparse:
        planned = _without_structure(name, planned, wanted)
    if planned.embedding and wanted.dtype not in (None, planned.embedding.dtype):
        raise MismatchError(
            f"The vectors of '{wanted.vectors or name}' are stored as {planned.embedding.dtype}, "
            f"not {wanted.dtype}. Leave dtype out, or build another index with an embedder."
        )
    return planned


def _without_structure(name: str, planned: BuildPlan, wanted: BuildRequest) -> BuildPlan:
    """Return the plan of an index over sparse vectors: an inverted file, searched exactly."""
    given = wanted.recall is not None or wanted.engine is not None
    if _spelled(wanted.ann) not in (None, AUTOMATIC, FLAT) or given:
        raise InputError(
            f"The vectors of '{name}' are sparse: their index is an inverted file, and a search "
            "finds all there is. Leave out --ann, --recall and --engine (ann, recall, engine)."
        )
    if wanted.dtype not in (None, DTYPES[0]):
        raise InputError(f"Sparse vectors are stored as {DTYPES[0]}. Leave dtype out.")
    kept = {key: value for key, value in planned.definition.items() if key not in (AUTO, ASKED)}
    return replace(planned, definition=kept)


def _new(store: Store, models: EmbedderPool, name: str, wanted: BuildRequest) -> BuildPlan:
    if (wanted.embedder is None) == (wanted.vectors is None):
        raise InputError(
            f"Say how to build '{name}': either --embedder KIND:MODEL (an embedder), "
            "or --vectors INDEX to share another index's vectors, or --lexical for BM25."
        )
    definition = _wanted_structure(wanted)
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
    elif embedding.imported and QUERIES in (shared := store.index(vectors).definition):
        definition[QUERIES] = shared[QUERIES]
    return BuildPlan(None, embedding, definition)


def _update(store: Store, models: EmbedderPool, name: str, wanted: BuildRequest) -> BuildPlan:
    index, embedding = store.index(name), store.embedding(name)
    embedder = wanted.embedder
    if embedder is not None:
        embedder = models.as_fitted(name, embedder)
        check_same_embedder(name, embedding, embedder)
        models.keep(embedder)
    factory, chosen = index.definition.get("factory", FLAT), index.definition.get(AUTO, False)
    ann = _spelled(wanted.ann)
    by = index.definition.get(QUERIES, {}).get("name")
    vectors = wanted.vectors
    shares = vectors is None or store.embedding(vectors).number == embedding.number
    # A structure that FAISS refused or that was cut short may be exchanged for another.
    settled = not kind_of(index.kind).has_structure or index.file is not None
    same = ann in (None, factory) or (chosen and ann == AUTOMATIC)
    other = not shares or (settled and not same)
    # For imported vectors, it is declared, which may change.
    if other or (wanted.queries_by not in (None, by) and not embedding.imported):
        queries = f", queries by {by}" if by else ""
        raise MismatchError(
            f"Index '{name}' already exists ({factory} over {embedding.model}{queries}). "
            f"Choose another name, or first: {shell_command('drop', store.folder, name)}"
        )
    if wanted.engine is not None:
        definition = _wanted_structure(wanted)
        same = [index.definition.get(one) == definition[one] for one in (ENGINE, "factory")]
        if not all(same):
            raise MismatchError(
                f"Index '{name}' already exists ({factory}). Choose another name, or first: "
                f"{shell_command('drop', store.folder, name)}"
            )
    else:
        definition = _changed(name, index.definition, ann, wanted.recall)
    if wanted.queries_by is not None:
        # Named again, the model is taken as it is now.
        definition[QUERIES] = models.for_queries_of(name, embedding, wanted.queries_by)
    elif QUERIES in index.definition:
        definition[QUERIES] = index.definition[QUERIES]
    return BuildPlan(embedder, embedding, definition)


def _wanted_structure(wanted: BuildRequest) -> dict[str, Any]:
    """Return the definition of a new structure: of FAISS, or on a server."""
    if wanted.engine is None:
        return structure_definition(wanted.ann or AUTOMATIC, wanted.recall)
    if wanted.ann is not None:
        raise InputError(
            "--ann (ann) is a structure of FAISS: leave it out with --engine (engine)."
        )
    definition = remote_definition(wanted.engine, wanted.engine_options)
    return definition if wanted.recall is None else {**definition, ASKED: wanted.recall}


def check_dtype(dtype: str | None) -> None:
    """Raise an InputError unless vectors can be stored so; None is the default."""
    if dtype is not None and (not isinstance(dtype, str) or dtype not in DTYPES):
        raise InputError(f"dtype is {short_repr(dtype)}; expected one of: {', '.join(DTYPES)}.")


def _check(wanted: BuildRequest) -> None:
    embedder = wanted.embedder
    if wanted.ann is not None:
        check_text("ann", wanted.ann)
    if embedder is not None:
        check_embedder(embedder)
        if not {TEXT, IMAGE} & {*(takes := modalities_of(embedder))}:
            raise InputError(
                f"The embedder {embedder.name} encodes {', '.join(takes) or 'nothing'}; the "
                "passages of a collection are texts and images. Choose an embedder of one of these."
            )
        similarity_of(embedder)
    check_dtype(wanted.dtype)
    check_recall(wanted.recall)


def structure_definition(ann: str, recall: float | None) -> dict[str, Any]:
    """Return the definition for a structure: automatic, exact, or by its FAISS factory string."""
    ann = _spelled(ann) or ann
    if ann == AUTOMATIC:
        return {AUTO: True, ASKED: RECALL if recall is None else recall}
    if ann == FLAT:
        if recall is not None:
            raise InputError(
                "Exact search finds all there is: leave out recall, or give it with ann='auto' "
                "(--ann auto) or a structure (--ann HNSW32)."
            )
        return {}
    return {"factory": ann} if recall is None else {"factory": ann, ASKED: recall}


def _changed(
    name: str, kept: Mapping[str, Any], ann: str | None, recall: float | None
) -> dict[str, Any]:
    """Return the definition of an index that exists, with another structure or recall if given."""
    if ann is not None:
        definition = structure_definition(ann, recall)
        if "factory" in definition and ASKED in kept:  # it keeps what it was tuned for
            return {ASKED: kept[ASKED], **definition}
        return definition
    definition = {key: kept[key] for key in (AUTO, ASKED, "factory", ENGINE) if key in kept}
    if recall is None:
        return definition
    if not definition:
        raise InputError(
            f"Index '{name}' is searched exactly, and finds all there is: leave out recall."
        )
    return {**definition, ASKED: recall}


def _spelled(ann: str | None) -> str | None:
    """Return `auto` and exact search in one spelling; a factory string as it is."""
    if ann is None:
        return None
    known = {AUTOMATIC: AUTOMATIC, **dict.fromkeys(EXACT, FLAT)}
    return known.get(ann.lower(), ann)


def check_recall(recall: float | None) -> None:
    """Raise an InputError unless a recall can be asked of a structure; None is the default."""
    number = isinstance(recall, int | float) and not isinstance(recall, bool)
    if recall is not None and not (number and 0 < recall <= 1):
        raise InputError(
            f"recall is {recall!r}; expected a share above 0 and at most 1, such as 0.98."
        )
