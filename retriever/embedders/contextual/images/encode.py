"""Encoding of images with a loaded model: each thread decodes, resizes and embeds a batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from indexes.errors import InputError
from indexes.images import Image
from indexes.neighbors import COSINE
from indexes.threads import sharing
from retriever.embedders.base import Matrix, unit
from retriever.embedders.contextual.engine import Engine
from retriever.embedders.contextual.model_info import ModelInfo
from retriever.images.decode import decode

# Each thread holds one decoded photo, where the result of the processor is known.
MOST_THREADS = 16


@dataclass(frozen=True)
class ModelImages:
    """Encodes images with a loaded model, at most `batch_size` at once."""

    card: ModelInfo
    engine: Engine
    batch_size: int | None

    def encode(self, images: Sequence[Image]) -> Matrix:
        """Return vectors (len(images), dim), of length 1 for the cosine, else the model's own.

        Raises:
            InputError: something is no `Image`; or see `decode`.
        """
        check_images(images)
        if not images:
            return np.zeros((0, self.card.dim), np.float32)
        with sharing() as allowed:
            count = min(MOST_THREADS, allowed, len(images))
            best = self.engine.images_at_once
            most = 1 if best == 1 else self.batch_size or best
            parts = even_parts(images, most, count)
            vectors = np.concatenate(_embed(self.engine, parts, count))
        return unit(vectors) if self.card.similarity == COSINE else vectors


def even_parts(images: Sequence[Image], most: int, count: int) -> list[Sequence[Image]]:
    """Split images into parts of at most `most`, equally many and equally long for each thread.

    With three parts, one of two threads would have nothing to do for a third of the time.
    """
    parts = min(len(images), count * math.ceil(len(images) / (count * most)))
    bounds = [len(images) * place // parts for place in range(parts + 1)]
    return [images[start:end] for start, end in pairwise(bounds)]


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


def _embed(engine: Engine, parts: Sequence[Sequence[Image]], count: int) -> list[Matrix]:
    """Return the vectors of each part, in order; `count` threads compute one part each.

    A part is computed in one thread from the file to the vectors: decoding and resizing then use
    all cores as the network does, and no thread waits for another.
    """
    alone = len(parts) > 1 and count > 1

    def embed(part: Sequence[Image]) -> Matrix:
        return engine.embed_images(map(decode, part), alone=alone)

    if not alone:
        return list(map(embed, parts))
    with ThreadPoolExecutor(count, "images") as pool:
        return list(pool.map(embed, parts))
