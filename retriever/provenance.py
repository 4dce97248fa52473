"""Which embedder made an index's vectors: what is kept of it, and whether another is the same."""

from __future__ import annotations

import json
from typing import Any

from indexes.errors import InputError, MismatchError
from indexes.registry import EmbeddingRow
from retriever.embedders import Embedder, EmbedderSpec

__all__ = ["check_same", "facts_of", "fingerprint_parts", "spec_of"]

# The kind of an embedder that is the user's own object: only the user can make it again.
CUSTOM = "custom"


def facts_of(embedder: Embedder, dtype: str) -> dict[str, Any]:
    """What the catalog keeps of an embedder, and of how its vectors are stored."""
    spec = getattr(embedder, "spec", None) or EmbedderSpec(CUSTOM, type(embedder).__name__)
    return {
        "embedder": {"kind": spec.kind, "model": spec.model, "options": dict(spec.options)},
        "model": embedder.name,
        "fingerprint": embedder.fingerprint,
        "dim": embedder.dim,
        "dtype": dtype,
    }


def spec_of(index: str, embedding: EmbeddingRow) -> EmbedderSpec:
    """How to load the embedder of an index again.

    Raises:
        InputError: it is one of the user's own.
    """
    spec = EmbedderSpec(**embedding.embedder)
    if spec.kind == CUSTOM:
        raise InputError(
            f"Index '{index}' was made by an embedder of your own, {spec.model}. "
            f"Give it first: collection.use({index!r}, embedder)."
        )
    return spec


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
    if embedder.fingerprint != embedding.fingerprint:
        raise MismatchError(
            f"Index '{index}' holds vectors of another {embedder.name}: "
            f"{_differences(embedding.fingerprint, embedder.fingerprint)}. "
            "Use the model that made the index, or drop the index and build it with this one."
        )


def _differences(made_with: str, now: str) -> str:
    """Where two fingerprints differ, part by part."""
    old, new = fingerprint_parts(made_with), fingerprint_parts(now)
    differing = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    return "; ".join(
        f"{name} was {_short(old.get(name))}, is {_short(new.get(name))}" for name in differing
    )


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
