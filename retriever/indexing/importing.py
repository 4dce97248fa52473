"""Builds of indexes over vectors that were made elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from indexes.catalog.records import IMPORTED, SIMILARITY, EmbeddingRow, NewEmbedding
from indexes.errors import InputError, MismatchError
from indexes.neighbors import COSINE, SIMILARITIES
from indexes.progress import Progress
from indexes.store import Store
from retriever.advice import shell_command
from retriever.embedders.base import fingerprint_of
from retriever.formats.vectors.reading import VectorFile
from retriever.indexing.builds import (
    AUTOMATIC,
    BuildRequest,
    check_dtype,
    plan,
    structure_definition,
)
from retriever.indexing.embedder_pool import EmbedderPool
from retriever.indexing.fingerprints import QUERIES
from retriever.indexing.imported import Checked, check_vectors
from retriever.indexing.reports import BuildReport, EmbeddingTotals, build_report


def import_vectors(
    store: Store,
    models: EmbedderPool,
    name: str,
    file: VectorFile,
    wanted: BuildRequest,
    progress: Progress,
) -> BuildReport:
    """Build an index over imported vectors, or give it those that it lacks; see `Collection`."""
    others = (wanted.embedder, wanted.vectors, wanted.words.given or None)
    if any(one is not None for one in others) or wanted.lexical or wanted.refit:
        raise InputError(
            "--from-vectors (from_vectors) takes no embedder, no vectors of another index, no "
            "BM25 and no refit: leave those options out."
        )
    index = next((row for row in store.indexes() if row.name == name), None)
    embedding = None if index is None else _existing(store, name, file, wanted)
    checked = check_vectors(store, file, embedding, allow_missing=wanted.allow_missing)
    new = _new_embedding(file, checked, wanted)
    definition = _definition(store, models, name, wanted, embedding, new)
    store.check_new(name, definition=definition, dim=file.dim)
    before = EmbeddingTotals.of(store.shards(embedding) if embedding else ())
    built, embedded = store.build(
        name,
        embedding=embedding,
        make=lambda read: new,
        definition=definition,
        encoder=checked.given,
        progress=progress,
        executor=wanted.workers,
    )
    notes = []
    if checked.known:
        notes.append(
            f"{checked.known:,} of the vectors in {file.name} are of passages that '{name}' has "
            "vectors of: those stay."
        )
    rebuilt = built != index
    return build_report(store, name, built, embedded, before, tuple(notes), rebuilt=rebuilt)


def _existing(store: Store, name: str, file: VectorFile, wanted: BuildRequest) -> EmbeddingRow:
    """Return the embedding of an index that a file has more vectors for."""
    embedding = store.embedding(name)
    if not embedding.imported:
        raise MismatchError(
            f"Index '{name}' exists, and {embedding.model} makes its vectors. Choose another name "
            f"for imported ones, or first: {shell_command('drop', store.folder, name)}"
        )
    similarity = wanted.similarity or file.similarity or embedding.similarity
    if (file.dim, similarity) != (embedding.dim, embedding.similarity):
        raise MismatchError(
            f"The vectors of '{name}' are {embedding.dim} wide and compared by "
            f"'{embedding.similarity}', those in {file.name} {file.dim} wide and by "
            f"'{similarity}'. Give vectors of the same model."
        )
    return embedding


def _new_embedding(file: VectorFile, checked: Checked, wanted: BuildRequest) -> NewEmbedding:
    check_dtype(wanted.dtype)
    similarity = wanted.similarity or file.similarity or COSINE
    if similarity not in SIMILARITIES:
        known = ", ".join(SIMILARITIES)
        raise InputError(f"similarity is {similarity!r}; expected one of: {known}.")
    half = file.vectors.dtype == np.float16
    label = Path(file.name).name
    attributes: dict[str, Any] = {IMPORTED: label}
    if similarity != COSINE:
        attributes[SIMILARITY] = similarity
    return NewEmbedding(
        embedder={"kind": IMPORTED, "model": label, "options": {}},
        model=label,
        fingerprint=fingerprint_of(kind=IMPORTED, similarity=similarity, vectors=checked.checksum),
        dim=file.dim,
        dtype=wanted.dtype or ("float16" if half else "float32"),
        attributes=attributes,
    )


def _definition(
    store: Store,
    models: EmbedderPool,
    name: str,
    wanted: BuildRequest,
    embedding: EmbeddingRow | None,
    new: NewEmbedding,
) -> dict[str, Any]:
    """Return the index's definition, with the declared embedder of queries."""
    asked = BuildRequest(
        ann=wanted.ann, dtype=wanted.dtype, queries_by=wanted.queries_by, recall=wanted.recall
    )
    if embedding is not None:
        return dict(plan(store, models, name, asked).definition)
    definition = structure_definition(wanted.ann or AUTOMATIC, wanted.recall)
    if wanted.queries_by is not None:
        planned = EmbeddingRow(0, name, *_columns(new))
        definition[QUERIES] = models.for_queries_of(name, planned, wanted.queries_by)
    return definition


def _columns(new: NewEmbedding) -> tuple[Any, ...]:
    return new.embedder, new.model, new.fingerprint, new.dim, new.dtype, new.attributes
