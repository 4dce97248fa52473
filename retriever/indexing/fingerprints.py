"""Records of the embedders that made an index's vectors, and checks that one is the same."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from indexes.catalog.records import EmbeddingRow, IndexRow, NewEmbedding
from indexes.errors import InputError, MismatchError
from retriever.embedders import Embedder, EmbedderSpec
from retriever.embedders.base import Fittable, fingerprint_of

# The kind of an embedder that is the user's own object: only the user can load it again.
CUSTOM = "custom"
# In an embedder's record: its model is in the collection's own folder, and moves with it.
INSIDE = "inside"
# In an index's definition: the embedder of its queries, if that is not the one of its vectors.
QUERIES = "queries"


def new_embedding(
    embedder: Embedder, dtype: str, folder: Path, attributes: Mapping[str, Any]
) -> NewEmbedding:
    """Return what the catalog keeps of an embedder, and of how its vectors are stored."""
    case = getattr(embedder, "case", None)
    return NewEmbedding(
        embedder=embedder_record(embedder, folder),
        model=embedder.name,
        fingerprint=embedder.fingerprint,
        dim=embedder.dim,
        dtype=dtype,
        attributes={**attributes, **({"case": case} if isinstance(case, str) else {})},
        parameters=embedder.parameters if isinstance(embedder, Fittable) else None,
    )


def embedder_record(embedder: Embedder, folder: Path) -> dict[str, Any]:
    """Return a JSON record to load an embedder by; a model in the collection by its place there."""
    spec = getattr(embedder, "spec", None) or EmbedderSpec(CUSTOM, type(embedder).__name__)
    kept = {"kind": spec.kind, "model": spec.model, "options": dict(spec.options)}
    path = Path(spec.model).expanduser()
    if spec.kind != CUSTOM and spec.model and path.exists():
        path, folder = path.resolve(), folder.resolve()
        if path.is_relative_to(folder):
            kept |= {"model": path.relative_to(folder).as_posix(), INSIDE: True}
    return kept


def model_inside(kept: Mapping[str, Any]) -> str | None:
    """Return the path of an embedder's model inside the collection; None if it is elsewhere."""
    return str(kept["model"]) if kept.get(INSIDE) else None


def shown_spec(kept: Mapping[str, Any]) -> EmbedderSpec:
    """Return the spec in an embedder's record, for display."""
    return EmbedderSpec(kept["kind"], kept["model"], kept["options"])


def embedder_spec(index: str, kept: Mapping[str, Any], folder: Path) -> EmbedderSpec:
    """Return the spec to load an index's embedder by; custom embedders are refused."""
    spec = shown_spec(kept)
    if spec.kind == CUSTOM:
        raise InputError(
            f"Index '{index}' was made by an embedder of your own, {spec.model}. "
            f"Give it first: collection.use({index!r}, embedder)."
        )
    inside = model_inside(kept)
    return replace(spec, model=str(folder.resolve() / inside)) if inside else spec


def check_same_embedder(index: str, embedding: EmbeddingRow, embedder: Embedder) -> None:
    """Raise a MismatchError with the differences unless an embedder made an index's vectors."""
    if embedder.dim != embedding.dim:
        raise MismatchError(
            f"Index '{index}' holds {embedding.model} vectors ({embedding.dim} wide); "
            f"the query came from {embedder.name} ({embedder.dim} wide). "
            "Use the model that made the index, or build another index with this one."
        )
    if vector_fingerprint(embedder.fingerprint) != vector_fingerprint(embedding.fingerprint):
        raise MismatchError(
            f"Index '{index}' holds vectors of another {embedder.name}: "
            f"{_differences(embedding.fingerprint, embedder.fingerprint)}. "
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
            f"another: {_differences(expected['fingerprint'], embedder.fingerprint)}. To use it as "
            f"it is now, build '{index.name}' again with --queries-by {expected['name']}."
        )
    check_teacher(expected["name"], embedder, index.name, embedding)


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
            f"the vectors of '{index}': {_differences(str(teacher), embedding.fingerprint)}. "
            f"Give --vectors of the index that it was distilled from, or distill '{index}' again."
        )
    if student.dim != embedding.dim:
        raise MismatchError(
            f"'{name}' gives vectors {student.dim} wide, but those of '{index}' are "
            f"{embedding.dim} wide. Distill '{index}' again."
        )


def _differences(made_with: str, now: str) -> str:
    """Describe how two fingerprints differ, part by part."""
    old, new = fingerprint_parts(made_with), fingerprint_parts(now)
    return "; ".join(
        f"{name} was {_short(old.get(name))}, is {_short(new.get(name))}"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    )


@functools.lru_cache(maxsize=64)
def vector_fingerprint(fingerprint: str) -> str:
    """Return the part of a fingerprint that decides the vectors, for comparison.

    The runtimes of a model are interchangeable in single precision: an exported copy was compared
    with the model before it was trusted. In any other precision they are not.
    """
    parts = fingerprint_parts(fingerprint)
    if "runtime" not in parts or "precision" in parts:
        return fingerprint
    return fingerprint_of(**{name: part for name, part in parts.items() if name != "runtime"})


def fingerprint_parts(fingerprint: str) -> dict[str, Any]:
    """Return the parts of a fingerprint by name."""
    try:
        parts = json.loads(fingerprint)
    except ValueError:
        parts = fingerprint
    return parts if isinstance(parts, dict) else {"fingerprint": parts}


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
