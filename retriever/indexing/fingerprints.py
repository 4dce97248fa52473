"""Checks that an embedder is the one that made an index's vectors, or its student."""

from __future__ import annotations

from indexes.catalog.records import EmbeddingRow, IndexRow
from indexes.errors import MismatchError
from retriever.embedders import Embedder
from retriever.embedders.base import fingerprint_parts, similarity_of, vector_fingerprint

# In an index's definition: the embedder of its queries, if that is not the one of its vectors.
QUERIES = "queries"
# There, for imported vectors: the user has declared it, and it was not distilled from another.
DECLARED = "declared"


def check_same_embedder(index: str, embedding: EmbeddingRow, embedder: Embedder) -> None:
    """Raise a MismatchError with the differences unless an embedder made an index's vectors."""
    if embedder.dim != embedding.dim:
        raise MismatchError(
            f"Index '{index}' holds vectors of {embedding.model} ({embedding.dim} wide), not of "
            f"{embedder.name} ({embedder.dim} wide). Use the model that made the index, or drop "
            "the index and build it with this one."
        )
    if (similarity := similarity_of(embedder)) != embedding.similarity:
        raise MismatchError(
            f"The vectors of index '{index}' are compared by '{embedding.similarity}', those of "
            f"{embedder.name} by '{similarity}'. Build another index with this embedder, or use it "
            f"with the option similarity {embedding.similarity}."
        )
    if vector_fingerprint(embedder.fingerprint) != vector_fingerprint(embedding.fingerprint):
        raise MismatchError(
            f"Index '{index}' holds vectors of another {embedder.name}: "
            f"{differences(embedding.fingerprint, embedder.fingerprint)}. "
            "Use the model that made the index, or drop the index and build it with this one."
        )


def check_query_embedder(index: IndexRow, embedding: EmbeddingRow, embedder: Embedder) -> None:
    """Raise a MismatchError unless an embedder is that of an index's vectors, or its student."""
    expected = index.definition.get(QUERIES)
    if expected is None:
        check_same_embedder(index.name, embedding, embedder)
        return
    if vector_fingerprint(embedder.fingerprint) != vector_fingerprint(expected["fingerprint"]):
        raise MismatchError(
            f"Index '{index.name}' has its queries encoded by '{expected['name']}', and this is "
            f"another: {differences(expected['fingerprint'], embedder.fingerprint)}. To use it as "
            f"it is now, build '{index.name}' again with --queries-by {expected['name']}."
        )
    if expected.get(DECLARED):
        check_declared(expected["name"], embedder, index.name, embedding)
        return
    check_teacher(expected["name"], embedder, index.name, embedding)


def check_declared(name: str, embedder: Embedder, index: str, embedding: EmbeddingRow) -> None:
    """Raise a MismatchError unless an embedder's queries can be compared with imported vectors."""
    given, similarity = (embedder.dim, similarity_of(embedder)), embedding.similarity
    if given != (embedding.dim, similarity):
        raise MismatchError(
            f"'{name}' cannot encode queries for '{index}': its vectors are {given[0]} wide and "
            f"compared by '{given[1]}', those from {embedding.imported} {embedding.dim} wide and "
            f"by '{similarity}'. Declare the model that made them."
        )


def check_teacher(name: str, student: Embedder, index: str, embedding: EmbeddingRow) -> None:
    """Raise a MismatchError unless an embedder was distilled from that of an index's vectors."""
    teacher = getattr(student, "teacher", None)
    if teacher is None:
        raise MismatchError(
            f"'{name}' ({student.name}) was not distilled from any embedder: it cannot encode "
            f"queries for the {embedding.model} vectors of '{index}'. Distill one from "
            f"'{index}' first."
        )
    if vector_fingerprint(str(teacher)) != vector_fingerprint(embedding.fingerprint):
        raise MismatchError(
            f"'{name}' was distilled from another embedder than the {embedding.model} that made "
            f"the vectors of '{index}'. Give --vectors of the index that it was distilled from, or "
            f"distill '{index}' again.\n"
            f"What differs: {differences(str(teacher), embedding.fingerprint)}."
        )
    if student.dim != embedding.dim:
        raise MismatchError(
            f"'{name}' gives vectors {student.dim} wide, but those of '{index}' are "
            f"{embedding.dim} wide. Distill '{index}' again."
        )


def differences(made_with: str, now: str) -> str:
    """Describe how two fingerprints differ, part by part."""
    old, new = fingerprint_parts(made_with), fingerprint_parts(now)
    return "; ".join(
        f"{name} was {_short(old.get(name))}, is {_short(new.get(name))}"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    )


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
