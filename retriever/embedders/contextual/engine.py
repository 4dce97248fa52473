"""The protocol of inference engines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Protocol

from retriever.embedders.base import Matrix
from retriever.embedders.contextual.batching import Batch

if TYPE_CHECKING:
    from retriever.images.decode import Picture


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

    @property
    def images_at_once(self) -> int:
        """The best number of images per batch; 1 means that each is a batch of its own."""

    def embed_all(
        self, batches: Iterable[Batch], skipped: int = 0
    ) -> Iterator[tuple[Batch, Matrix]]:
        """Yield each batch with its vectors, in any order, using the best number of threads.

        The first `skipped` tokens belong to a prompt that the model leaves out of pooling.
        """

    def embed_images(self, pictures: Iterable[Picture], *, alone: bool) -> Matrix:
        """Return the vectors (n, dim) of a batch of images, whatever their sizes.

        `alone` keeps to the thread of the caller, beside others that compute batches of their own.
        """
