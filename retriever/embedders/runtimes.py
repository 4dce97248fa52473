"""What computes a sentence model on this machine: torch, or onnxruntime over an exported copy."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from retriever.embedders.base import Matrix
from retriever.embedders.batches import Batch
from retriever.embedders.modelcard import Choices, ModelCard

if TYPE_CHECKING:
    from retriever.embedders.sentencemodel import SentenceModel

__all__ = ["Engine", "Opened", "opened"]


class Engine(Protocol):
    """Turns batches of tokens into vectors (n, dim), which need not have length 1."""

    @property
    def runtime(self) -> str:
        """What computes: `torch` or `onnx`."""

    @property
    def precision(self) -> str:
        """In which numbers: one of `PRECISIONS`, but for `auto`."""

    @property
    def budget(self) -> int:
        """How many places for tokens a batch should have, at most."""

    def embed_all(
        self, batches: Iterable[Batch], skipped: int = 0
    ) -> Iterator[tuple[Batch, Matrix]]:
        """Each batch with its vectors, in any order, computed in as many threads as is best.

        `skipped` tokens at the beginning are a prompt's, which some models leave out in pooling.
        """


@dataclass(frozen=True)
class Opened:
    """A model that can be asked: what is known of it, what computes, and what to say about it.

    `model` gives the whole model in torch, which is loaded when it is first needed.
    """

    card: ModelCard
    engine: Engine
    notes: tuple[str, ...]
    model: Callable[[], SentenceModel]


def opened(
    model: str | os.PathLike[str], *, device: str | None, runtime: str, choices: Choices
) -> Opened:
    """The model, with what computes it here.

    Raises:
        ModelNotAvailableError: it cannot be had: what was tried, and how to get it.
        InputError: no such runtime here, or a choice that this model cannot have.
    """
    from retriever.embedders.sentencemodel import checked_device, load

    loaded = load(model, checked_device(device), choices)
    return Opened(loaded.card, loaded, (), lambda: loaded)
