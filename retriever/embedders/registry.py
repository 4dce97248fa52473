"""Embedders by name, such as `static:glove-6b-50d`, with options; see `kinds`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from indexes.errors import InputError
from retriever.embedders.base import Embedder, EmbedderSpec
from retriever.embedders.contextual.embedder import ContextualEmbedder
from retriever.embedders.elmo.embedder import ElmoEmbedder
from retriever.embedders.hashing import HashingEmbedder
from retriever.embedders.kinds import KindHelp, Kinds
from retriever.embedders.sparse.embedder import SparseEmbedder
from retriever.embedders.static.embedder import StaticEmbedder

KINDS: dict[str, type[Any]] = {
    "static": StaticEmbedder,
    "contextual": ContextualEmbedder,
    "elmo": ElmoEmbedder,
    "sparse": SparseEmbedder,
    "hashing": HashingEmbedder,
}
_EMBEDDERS = Kinds("embedder", KINDS)


def parse_spec(text: str, options: Mapping[str, Any]) -> EmbedderSpec:
    """Parse a spec from `kind:model` and options; see `Kinds.parse`."""
    return _EMBEDDERS.parse(text, options)


def describe_embedders() -> tuple[KindHelp, ...]:
    """Describe every kind of embedder with its options."""
    return tuple(map(_EMBEDDERS.help, KINDS))


def describe_embedder(kind: str) -> KindHelp:
    """Describe a kind of embedder and its options; `UnknownNameError` for an unknown one."""
    return _EMBEDDERS.help(kind)


def check_embedder_options(kind: str, options: Mapping[str, Any]) -> None:
    """Raise InputError for an option that a kind lacks or whose value is of the wrong type."""
    _EMBEDDERS.checked(kind, options)


def load_embedder(spec: EmbedderSpec) -> Embedder:
    """Load the embedder that a spec describes.

    Raises:
        UnknownNameError: an unknown kind.
        InputError: an option is unknown or of the wrong type, or `spec` is text instead of a spec.
        ModelNotAvailableError: the model is not available.
    """
    if not isinstance(spec, EmbedderSpec):
        raise InputError(
            f"The spec is {spec!r}; expected an EmbedderSpec. "
            "For one from text, use parse_spec(text, {}) first."
        )
    embedder: Embedder = _EMBEDDERS.make(spec)
    return embedder
