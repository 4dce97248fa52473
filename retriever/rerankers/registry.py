"""Rerankers by name, such as `cross-encoder:MODEL`, with options; see `embedders.kinds`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retriever.embedders.base import EmbedderSpec
from retriever.embedders.kinds import KindHelp, Kinds
from retriever.rerankers.base import Reranker
from retriever.rerankers.cross_encoder import CrossEncoderReranker
from retriever.rerankers.late_interaction import LateInteractionReranker
from retriever.rerankers.vilbert.reranker import VilbertReranker

KINDS: dict[str, type[Any]] = {
    "cross-encoder": CrossEncoderReranker,
    "late-interaction": LateInteractionReranker,
    "vilbert": VilbertReranker,
}
_RERANKERS = Kinds("reranker", KINDS)


def describe_rerankers() -> tuple[KindHelp, ...]:
    """Describe every kind of reranker with its options."""
    return tuple(map(_RERANKERS.help, KINDS))


def load_reranker(spec: EmbedderSpec) -> Reranker:
    """Load the reranker that a spec describes.

    Raises:
        UnknownNameError: an unknown kind.
        InputError: an option is unknown, of the wrong type or invalid.
        ModelNotAvailableError: the model is not available.
    """
    reranker: Reranker = _RERANKERS.make(spec)
    return reranker


def parse_reranker(text: str, options: Mapping[str, Any]) -> EmbedderSpec:
    """Parse a spec from `kind:model` and options; see `Kinds.parse`."""
    return _RERANKERS.parse(text, options)
