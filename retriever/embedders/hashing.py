"""Feature hashing: an embedder that needs no model.

Weinberger et al. 2009, "Feature Hashing for Large Scale Multitask Learning". It captures which
words two texts share, not what they mean: for tests, examples and baselines.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from indexes.errors import InputError
from indexes.text.unspaced import spell_out
from indexes.text.words import Words, split, text_chunks
from retriever.embedders.base import (
    TEXT_ONLY,
    EmbedderSpec,
    Matrix,
    check_texts,
    fingerprint_of,
    unit,
)

# Already 256 KiB per document: a typo must not exhaust memory.
WIDEST = 1 << 16


class HashingEmbedder:
    """Embed a text by its words alone, identically on every machine.

    Each occurrence of a word (a run of letters, marks and digits in normal form, lowercased; in
    scripts without spaces a character, or two neighbors; see `indexes.text`) adds
    +1 or -1 to one coordinate, and the sum is scaled to length 1. With `crc` the CRC-32
    (`zlib.crc32`) of the word in UTF-8, the coordinate is `(crc >> 1) % dim`, and the sign is +1
    for even and -1 for odd `crc`. A text without words, or with words that cancel out, gets zeros.

    Raises:
        InputError: `dim` is not an integer from 1 to 65,536.
    """

    modalities: tuple[str, ...] = TEXT_ONLY
    brief = True
    option_help: ClassVar[dict[str, str]] = {"dim": f"Dimension of the vectors, 1 to {WIDEST:,}."}

    def __init__(self, dim: int = 256) -> None:
        if isinstance(dim, bool) or not isinstance(dim, int) or not 1 <= dim <= WIDEST:
            raise InputError(f"dim is {dim!r}; expected a whole number from 1 to {WIDEST:,}.")
        self._dim = dim

    @property
    def name(self) -> str:
        """Name with the dimension, such as `hashing-256`."""
        return f"hashing-{self._dim}"

    @property
    def dim(self) -> int:
        """Dimension of the vectors."""
        return self._dim

    @property
    def fingerprint(self) -> str:
        """Method and dimension: nothing else determines a vector."""
        return fingerprint_of(
            kind="hashing", hash="crc32", dim=self._dim, lower=True, text="normalized", unit=True
        )

    @property
    def spec(self) -> EmbedderSpec:
        """Spec that loads this embedder again."""
        return EmbedderSpec("hashing", "", {"dim": self._dim})

    def encode_documents(self, texts: Sequence[str]) -> Matrix:
        """Return unit vectors (len(texts), dim) float32; zeros for texts without words.

        Raises:
            InputError: see `check_texts`.
        """
        check_texts(texts)
        spelled = [text if text.isascii() else spell_out(text) for text in texts]
        parts = [self._encode_chunk(split(chunk, lower=True)) for chunk in text_chunks(spelled)]
        return np.concatenate(parts) if parts else np.zeros((0, self._dim), np.float32)

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        """Return `encode_documents(texts)`."""
        return self.encode_documents(texts)

    def _encode_chunk(self, words: Words) -> Matrix:
        from scipy.sparse import csr_array

        crcs = np.array([zlib.crc32(word.encode()) for word in words.distinct], np.int64)
        coordinates, signs = (crcs >> 1) % self._dim, (1 - 2 * (crcs & 1)).astype(np.float32)
        # `toarray` sums entries at the same position.
        entries = (signs[words.codes], coordinates[words.codes], words.offsets)
        return unit(csr_array(entries, shape=(len(words), self._dim)).toarray())
