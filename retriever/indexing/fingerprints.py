"""Which embedder made an index's vectors: what is kept of it, and whether another is the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from indexes.catalog.records import EmbeddingRow, IndexRow, NewEmbedding
from indexes.errors import InputError, MismatchError
from retriever.embedders import Embedder, EmbedderSpec
from retriever.embedders.base import Fittable, fingerprint_of

# The kind of an embedder that is the user's own object: only the user can make it again.
CUSTOM = "custom"
# Of what is kept of an embedder: its model lies in the collection's own folder, and moves with it.
INSIDE = "inside"
# In an index's recipe: the embedder that encodes its queries, where that is not its vectors' own.
QUERIES = "queries"


def new_embedding(
    embedder: Embedder, dtype: str, folder: Path, attributes: Mapping[str, Any]
) -> NewEmbedding:
    """What the catalog keeps of an embedder, and of how its vectors are stored."""
    case = getattr(embedder, "case", None)
    return NewEmbedding(
        embedder=embedder_record(embedder, folder),
        model=embedder.name,
        fingerprint=embedder.fingerprint,
        dim=embedder.dim,
        dtype=dtype,
        attributes={**attributes, **({"case": case} if isinstance(case, str) else {})},
        parameters=parameters_of(embedder),
    )


def parameters_of(embedder: Embedder) -> bytes | None:
    """What an embedder was fitted to; None where it was fitted to nothing."""
    return embedder.parameters if isinstance(embedder, Fittable) else None


def embedder_record(embedder: Embedder, folder: Path) -> dict[str, Any]:
    """How to load an embedder again, as JSON; a model inside the collection by its place there."""
    spec = getattr(embedder, "spec", None) or EmbedderSpec(CUSTOM, type(embedder).__name__)
    kept = {"kind": spec.kind, "model": spec.model, "options": dict(spec.options)}
    path = Path(spec.model).expanduser()
    if spec.kind != CUSTOM and spec.model and path.exists():
        path, folder = path.resolve(), folder.resolve()
        if path.is_relative_to(folder):
            kept |= {"model": path.relative_to(folder).as_posix(), INSIDE: True}
    return kept


def model_inside(kept: Mapping[str, Any]) -> str | None:
    """Where in the collection's folder an embedder's model lies; None where it lies elsewhere."""
    return str(kept["model"]) if kept.get(INSIDE) else None


def shown_spec(kept: Mapping[str, Any]) -> EmbedderSpec:
    """What is kept of an embedder, for people."""
    return EmbedderSpec(kept["kind"], kept["model"], kept["options"])


def embedder_spec(index: str, kept: Mapping[str, Any], folder: Path) -> EmbedderSpec:
    """How to load an embedder of an index again, wherever the collection stands now.

    Raises:
        InputError: it is one of the user's own.
    """
    spec = shown_spec(kept)
    if spec.kind == CUSTOM:
        raise InputError(
            f"Index '{index}' was made by an embedder of your own, {spec.model}. "
            f"Give it first: collection.use({index!r}, embedder)."
        )
    inside = model_inside(kept)
    if inside is None:
        return spec
    return EmbedderSpec(spec.kind, str(folder.resolve() / inside), spec.options)


def check_same(index: str, embedding: EmbeddingRow, embedder: Embedder) -> None:
    """Check that an embedder is the one that made an index's vectors.

    Raises:
        MismatchError: it is not; says where the two differ.
    """
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


def check_answers(index: IndexRow, embedding: EmbeddingRow, embedder: Embedder) -> None:
    """Check that an embedder is the one that encodes an index's queries.

    That is the one that made its vectors, or else the one that the index was given for them.

    Raises:
        MismatchError: it is not; says where the two differ.
    """
    asked = index.definition.get(QUERIES)
    if asked is None:
        check_same(index.name, embedding, embedder)
        return
    if vector_fingerprint(embedder.fingerprint) != vector_fingerprint(asked["fingerprint"]):
        raise MismatchError(
            f"Index '{index.name}' has its queries encoded by '{asked['name']}', and this is "
            f"another: {_differences(asked['fingerprint'], embedder.fingerprint)}. To take it as "
            f"it is now, build '{index.name}' again with --queries-by {asked['name']}."
        )
    check_teacher(asked["name"], embedder, index.name, embedding)


def check_teacher(name: str, student: Embedder, index: str, embedding: EmbeddingRow) -> None:
    """Check that an embedder was made to encode queries for the vectors of an index.

    Raises:
        MismatchError: it was distilled from nothing, or from another; names both sides.
    """
    teacher = getattr(student, "teacher", None)
    if teacher is None:
        raise MismatchError(
            f"'{name}' ({student.name}) was not distilled from any embedder: it cannot encode "
            f"queries for the {embedding.model} vectors of '{index}'. Distil one from '{index}' "
            "first."
        )
    if vector_fingerprint(str(teacher)) != vector_fingerprint(embedding.fingerprint):
        raise MismatchError(
            f"'{name}' was distilled from another embedder than the {embedding.model} that made "
            f"the vectors of '{index}': {_differences(str(teacher), embedding.fingerprint)}. "
            f"Give --vectors of the index that it was distilled from, or distil '{index}' anew."
        )
    if student.dim != embedding.dim:
        raise MismatchError(
            f"'{name}' gives vectors {student.dim} wide, but those of '{index}' are "
            f"{embedding.dim} wide. Distil '{index}' anew."
        )


def _differences(made_with: str, now: str) -> str:
    """Where two fingerprints differ, part by part."""
    old, new = fingerprint_parts(made_with), fingerprint_parts(now)
    differing = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    return "; ".join(
        f"{name} was {_short(old.get(name))}, is {_short(new.get(name))}" for name in differing
    )


def vector_fingerprint(fingerprint: str) -> str:
    """What a fingerprint says of the vectors alone, to be compared.

    The runtimes of a model are interchangeable in single precision: an exported copy was compared
    with the model before it was trusted. In any other precision they are not.
    """
    parts = fingerprint_parts(fingerprint)
    if "runtime" not in parts or "precision" in parts:
        return fingerprint
    return fingerprint_of(**{name: part for name, part in parts.items() if name != "runtime"})


def fingerprint_parts(fingerprint: str) -> dict[str, Any]:
    """What a fingerprint names, part by part."""
    try:
        parts = json.loads(fingerprint)
    except ValueError:
        parts = fingerprint
    return parts if isinstance(parts, dict) else {"fingerprint": parts}


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
