"""Encoding of images with a loaded model: threads decode and preprocess them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.errors import InputError
from indexes.images import Image
from indexes.neighbors import COSINE
from indexes.threads import threads
from retriever.embedders.base import Matrix, unit
from retriever.embedders.contextual.images.processing import preprocess
from retriever.images.decode import decode

if TYPE_CHECKING:
    from retriever.embedders.contextual.torch_model import SentenceModel

# Threads ahead of the model, and images per batch: few, since decoded photos take megabytes.
MOST_THREADS, BATCH = 4, 16


@dataclass(frozen=True)
class ModelImages:
    """Encodes images with the model that `model` returns, at most `batch_size` at once."""

    model: Callable[[], SentenceModel]
    batch_size: int | None

    def encode(self, images: Sequence[Image]) -> Matrix:
        """Return vectors (len(images), dim), of length 1 for the cosine, else the model's own.

        Raises:
            InputError: something is no `Image`; or see `decode`.
        """
        check_images(images)
        model = self.model()
        vectors = np.zeros((len(images), model.card.dim), np.float32)
        size = self.batch_size or BATCH

        def read(start: int) -> dict[str, Any]:
            return preprocess(model.parts, list(map(decode, images[start : start + size])))

        for start, features in _ahead(read, range(0, len(images), size)):
            vectors[start : start + size] = model.embed_features(features)
        return unit(vectors) if model.card.similarity == COSINE else vectors


def check_images(images: Sequence[Image]) -> None:
    """Check that `images` is a list of images.

    Raises:
        InputError: a single one instead of a list, or something else, named by its position from 0.
    """
    if isinstance(images, Image | str | bytes):
        raise InputError("Expected a list of images; got a single one. Put it into a list: [image]")
    for position, image in enumerate(images):
        if not isinstance(image, Image):
            kind = type(image).__name__
            raise InputError(
                f"Image {position} is {kind}; expected an Image, such as Image.of(path)."
            )


def _ahead(
    read: Callable[[int], dict[str, Any]], starts: range
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each start with what `read` returns for it, in order; threads read several at once.

    They are done before the model computes: on a CPU it has all cores, and would wait for them.
    """
    workers = min(MOST_THREADS, threads(), len(starts))
    if workers < 2:
        yield from ((start, read(start)) for start in starts)
        return
    with ThreadPoolExecutor(workers, "images") as pool:
        for first in range(0, len(starts), workers):
            some = starts[first : first + workers]
            yield from zip(some, list(pool.map(read, some)), strict=True)
