"""The protocol of inference engines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from retriever.embedders.base import Matrix
from retriever.embedders.contextual.batching import Batch


class Engine(Protocol):
    """Turns batches of tokens into vectors (n, dim), not necessarily of length 1."""

    @property
    def runtime(self) -> str:
        """Runtime: `torch` or `onnx`."""

    @property
    def precision(self) -> str:
        """Precision of the computation: one of `PRECISIONS` except `auto`."""

    @property
    def budget(self) -> int:
        """Maximum positions per batch; 1 means one text per batch."""

    def embed_all(
        self, batches: Iterable[Batch], skipped: int = 0
    ) -> Iterator[tuple[Batch, Matrix]]:
        """Yield each batch with its vectors, in any order, using the best number of threads.

        The first `skipped` tokens belong to a prompt that the model leaves out of pooling.
        """
