"""Encoding of images with a loaded model: each thread decodes, preprocesses and embeds a batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from indexes.errors import InputError
from indexes.images import Image
from indexes.neighbors import COSINE
from indexes.threads import sharing
from retriever.embedders.base import Matrix, unit
from retriever.embedders.contextual.images.processing import preprocess
from retriever.embedders.devices import computing
from retriever.images.decode import decode

if TYPE_CHECKING:
    from retriever.embedders.contextual.torch_model import SentenceModel

# Threads, and images per batch. Each thread holds one decoded photo, where the processor's sizes
# are known.
MOST_THREADS, BATCH = 16, 16


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
        if not images:
            return np.zeros((0, model.card.dim), np.float32)
        with sharing() as allowed:
            count = min(MOST_THREADS, allowed, len(images))
            size = min(self.batch_size or BATCH, math.ceil(len(images) / count))
            parts = [images[start : start + size] for start in range(0, len(images), size)]
            vectors = np.concatenate(list(_each(partial(_embed, model), parts, count)))
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


def _embed(model: SentenceModel, images: Sequence[Image]) -> Matrix:
    return model.embed_features(preprocess(model.parts, map(decode, images)))


def _each(
    embed: Callable[[Sequence[Image]], Matrix], parts: Sequence[Sequence[Image]], count: int
) -> Iterator[Matrix]:
    """Yield the vectors of each part, in order; `count` threads compute one part each.

    A part is computed in one thread from the file to the vectors: decoding and resizing then use
    all cores as the network does, and no thread waits for another.
    """
    if len(parts) == 1 or count == 1:
        yield from map(embed, parts)
        return

    def alone(part: Sequence[Image]) -> Matrix:
        with computing(1):
            return embed(part)

    with ThreadPoolExecutor(count, "images") as pool:
        yield from pool.map(alone, parts)
