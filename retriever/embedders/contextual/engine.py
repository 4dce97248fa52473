"""What an engine is: it turns batches of tokens into vectors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from retriever.embedders.base import Matrix
from retriever.embedders.contextual.batching import Batch


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
        """How many places for tokens a batch should have, at most; 1: each text is alone."""

    def embed_all(
        self, batches: Iterable[Batch], skipped: int = 0
    ) -> Iterator[tuple[Batch, Matrix]]:
        """Each batch with its vectors, in any order, computed in as many threads as is best.

        `skipped` tokens at the beginning are a prompt's, which some models leave out in pooling.
        """
