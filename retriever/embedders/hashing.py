"""An embedder that needs no model: feature hashing.

Weinberger et al. 2009, "Feature Hashing for Large Scale Multitask Learning". It knows which words
two texts share and nothing of what they mean: for tests and examples, and as a floor in tables.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from indexes.errors import InputError
from retriever.embedders.base import EmbedderSpec, Matrix, fingerprint_of, unit
from retriever.embedders.texts import check_texts
from retriever.embedders.tokenization.batch_split import chunks
from retriever.embedders.tokenization.words import Words, split

# This is 256 KiB a document already: a digit too many must not fill the memory.
WIDEST = 1 << 16


class HashingEmbedder:
    """Embeds a text by its words alone, the same on every machine.

    Every occurrence of a word (a run of letters, marks and digits, lower-cased; see `tokens.py`)
    adds +1 or -1 to one coordinate, and the sum is scaled to length 1. With `crc` the CRC-32
    (`zlib.crc32`) of the word in UTF-8, the coordinate is `(crc >> 1) % dim`, and the sign is +1
    where `crc` is even and -1 where it is odd. A text without words, or whose words cancel out,
    gets zeros.

    Raises:
        InputError: `dim` is not a whole number from 1 to 65,536.
    """

    def __init__(self, dim: int = 256) -> None:
        if isinstance(dim, bool) or not isinstance(dim, int) or not 1 <= dim <= WIDEST:
            raise InputError(f"dim is {dim!r}; expected a whole number from 1 to {WIDEST:,}.")
        self._dim = dim

    @property
    def name(self) -> str:
        """`hashing` and the width, as in `hashing-256`."""
        return f"hashing-{self._dim}"

    @property
    def dim(self) -> int:
        """The width of every vector."""
        return self._dim

    @property
    def fingerprint(self) -> str:
        """Names the method and the width: nothing else decides a vector."""
        return fingerprint_of(kind="hashing", hash="crc32", dim=self._dim, lower=True, unit=True)

    @property
    def spec(self) -> EmbedderSpec:
        """How to load this embedder again."""
        return EmbedderSpec("hashing", "", {"dim": self._dim})

    def encode_documents(self, texts: Sequence[str]) -> Matrix:
        """Unit vectors (len(texts), dim) float32; zeros where there is no word.

        Raises:
            InputError: something that is no text; see `check_texts`.
        """
        check_texts(texts)
        parts = [self._encode_chunk(split(chunk, lower=True)) for chunk in chunks(texts)]
        return np.concatenate(parts) if parts else np.zeros((0, self._dim), np.float32)

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        """The same as `encode_documents`."""
        return self.encode_documents(texts)

    def _encode_chunk(self, words: Words) -> Matrix:
        from scipy.sparse import csr_array

        coordinates, signs = self._hash(words.distinct)
        # Entries at the same place add up when the matrix is written out.
        entries = (signs[words.codes], coordinates[words.codes], words.offsets)
        return unit(csr_array(entries, shape=(len(words), self._dim)).toarray())

    def _hash(self, distinct: list[str]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        crcs = np.array([zlib.crc32(word.encode()) for word in distinct], np.int64)
        return (crcs >> 1) % self._dim, (1 - 2 * (crcs & 1)).astype(np.float32)
