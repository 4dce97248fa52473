"""Centering of texts and of images, each around its own mean, against the modality gap.

The vectors of a model that was trained by contrast (CLIP) lie in two narrow cones, one of each
modality (Liang et al. 2022, Mind the Gap, https://arxiv.org/abs/2203.02053): for a query by text,
all texts may outrank all images.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from indexes.errors import InputError
from indexes.images import Image
from indexes.neighbors import COSINE
from retriever.embedders.base import IMAGE, Matrix, unit
from retriever.embedders.contextual.model_info import ModelInfo
from retriever.embedders.sealed import seal, unseal

HEAD = b"retriever centers 1\n"
# Texts, and images, that a mean is taken of: it is then within 1 / sqrt(1000) = 0.03 of the mean
# of all. The mean of fewer than the second number says nothing about a modality.
SAMPLE, FEWEST = 1_000, 10
BATCH = 64
# A vector that is nearer to the mean than this has no direction from it.
NEAREST = 1e-4
Encode = Callable[[Sequence[Any]], Matrix]
Content = TypeVar("Content")


@dataclass(frozen=True, eq=False)
class Centers:
    """The mean vectors (dim,) float32 of a corpus's `text` and its `image`; zeros if unknown."""

    text: Matrix
    image: Matrix

    @staticmethod
    def of(
        contents: Iterable[str | Image], dim: int, encode: Encode, encode_images: Encode
    ) -> Centers:
        """Return the centers of a corpus, read once: of a sample of each modality.

        The sample is uniform, of at most `SAMPLE`, and the same for the same contents in the same
        order. Without at least `FEWEST` vectors that are not zeros, a center is zeros. Contents
        that cannot be encoded are left out: `build` will name them.
        """
        texts, images = _samples(contents)
        return Centers(_mean(texts, dim, encode), _mean(images, dim, encode_images))

    def centered(self, vectors: Matrix, modality: str) -> Matrix:
        """Return unit vectors v (n, dim), documents or queries, as (v - m) / |v - m|.

        m is the center of their modality, for a query by text that of the corpus's texts. With
        queries as they are, fewer images were found (`docs/images.md`): such a query still has the
        direction of its own cone. Rows of zeros stay, and so do those at the center, which have no
        direction from it.
        """
        center: Matrix = getattr(self, modality)
        moved = vectors - center
        kept = ~vectors.any(axis=1) | (np.linalg.norm(moved, axis=1) < NEAREST)
        moved[kept] = vectors[kept]
        return unit(moved)

    def to_bytes(self) -> bytes:
        """Serialize deterministically."""
        return seal(HEAD, np.stack([self.text, self.image]).astype("<f4").tobytes())

    @staticmethod
    def from_bytes(kept: bytes) -> Centers:
        """Read what `to_bytes` wrote, or raise a `DamageError`."""
        return Centers(*np.frombuffer(unseal(HEAD, kept), "<f4").reshape(2, -1))


def check_center(name: str, card: ModelInfo) -> None:
    """Check that the vectors of a model can be centered.

    Raises:
        InputError: it encodes only text, or its vectors are not compared by the cosine.
    """
    if IMAGE not in card.modalities:
        raise InputError(
            f"{name} encodes only text: there are no images to center apart. Leave center out."
        )
    if card.similarity != COSINE:
        raise InputError(
            f"center needs the similarity cosine, but the vectors of {name} are compared by "
            f"'{card.similarity}'. Leave center out, or set similarity to cosine."
        )


def _samples(contents: Iterable[str | Image]) -> tuple[list[str], list[Image]]:
    """Return a uniform sample of the texts that are not blank, and of the images."""
    draw = random.Random(0)
    texts, images = list[str](), list[Image]()
    count = {str: 0, Image: 0}
    for content in contents:
        if isinstance(content, Image):
            count[Image] += 1
            _keep(images, content, count[Image], draw)
        elif content.strip():
            count[str] += 1
            _keep(texts, content, count[str], draw)
    return texts, images


def _keep(sample: list[Content], content: Content, number: int, draw: random.Random) -> None:
    """Add the `number`-th content, from 1, to a uniform sample of `SAMPLE` (reservoir sampling)."""
    if number <= SAMPLE:
        sample.append(content)
    elif (place := draw.randrange(number)) < SAMPLE:
        sample[place] = content


def _mean(contents: Sequence[Any], dim: int, encode: Encode) -> Matrix:
    """Return the mean vector (dim,) of contents, in double precision; see `Centers.of`."""
    total, count = np.zeros(dim), 0
    for start in range(0, len(contents), BATCH):
        vectors = _vectors(contents[start : start + BATCH], dim, encode)
        total += vectors.sum(axis=0, dtype=np.float64)
        count += int(vectors.any(axis=1).sum())
    return (total / count if count >= FEWEST else np.zeros(dim)).astype(np.float32)


def _vectors(contents: Sequence[Any], dim: int, encode: Encode) -> Matrix:
    """Return the vectors of those contents that can be encoded."""
    try:
        return encode(contents)
    except InputError:
        rows = [np.zeros((0, dim), np.float32)]
        for content in contents:
            with suppress(InputError):
                rows.append(encode([content]))
        return np.concatenate(rows)
