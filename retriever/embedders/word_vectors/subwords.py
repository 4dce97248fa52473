"""fastText vectors of unseen words: the mean of their character n-grams.

Bojanowski et al. 2017, "Enriching Word Vectors with Subword Information". A word is wrapped in `<`
and `>`; its n-grams of `min_n` to `max_n` characters are hashed (32-bit FNV-1a over UTF-8, bytes
as signed) into `rows` shared vectors. Vectorized over words; results equal fastText's and gensim's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retriever.embedders.base import Matrix

FNV_START = np.uint32(2166136261)
FNV_PRIME = np.uint32(16777619)


@dataclass(frozen=True)
class Subwords:
    """N-gram vectors (rows, dim) of a fastText model.

    `min_n` and `max_n` are in characters, `min_n <= max_n` and `max_n >= 1`.
    """

    vectors: Matrix
    min_n: int
    max_n: int

    def vectors_of(self, words: Sequence[str]) -> tuple[Matrix, NDArray[np.bool_]]:
        """Return the subword vector of each word (len(words), dim), and whether it has any n-gram.

        A word without n-grams (a single letter, perhaps) gets zeros.
        """
        from scipy.sparse import csr_array

        word_of_ngram, rows = self.ngrams(words)
        counts = np.bincount(word_of_ngram, minlength=len(words))
        distinct, columns = np.unique(rows, return_inverse=True)
        entries = np.ones(len(rows), np.float32), columns, np.concatenate([[0], np.cumsum(counts)])
        shape = (len(words), len(distinct))
        sums = csr_array(entries, shape=shape) @ self.vectors[distinct]
        means = np.asarray(sums / np.maximum(counts, 1)[:, None], dtype=np.float32)
        return means, counts > 0

    def ngrams(self, words: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return all n-grams as (position of the word, row of `vectors`), words in order."""
        grown = self._grown(*_characters([f"<{word}>" for word in words]))
        owners, hashes = (np.concatenate(parts) for parts in zip(*grown, strict=True))
        order = np.argsort(owners, kind="stable")
        return owners[order], hashes[order].astype(np.int64) % len(self.vectors)

    def _grown(
        self,
        data: NDArray[np.uint32],
        first: NDArray[np.int64],
        word_of_character: NDArray[np.int64],
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint32]]]:
        """Yield (words, hashes) of the n-grams of each size, extending shorter ones."""
        count = len(word_of_character)
        begins, hashes = np.arange(count), np.full(count, FNV_START)
        for size in range(1, self.max_n + 1):
            last = begins + size - 1
            # Drop n-grams that would leave their word.
            begins = begins[last < count]
            begins = begins[word_of_character[begins + size - 1] == word_of_character[begins]]
            hashes[begins] = _hash_character(hashes[begins], data, first, begins + size - 1)
            if size >= self.min_n:
                kept = begins[~_is_edge(begins, word_of_character)] if size == 1 else begins
                yield word_of_character[kept], hashes[kept]


def _characters(
    words: Sequence[str],
) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64]]:
    """Return all words in UTF-8, sign-extended; where characters begin; and their words."""
    text = "".join(words)
    data = np.frombuffer(text.encode(), np.int8).astype(np.int32).view(np.uint32)
    first = np.flatnonzero((data & np.uint32(0xC0)) != np.uint32(0x80))
    word_of_character = np.repeat(np.arange(len(words)), [len(word) for word in words])
    return data, np.append(first, len(data)), word_of_character


def _hash_character(
    hashes: NDArray[np.uint32],
    data: NDArray[np.uint32],
    first: NDArray[np.int64],
    characters: NDArray[np.int64],
) -> NDArray[np.uint32]:
    """Return the hashes after one more character each, of one to four bytes."""
    begin, length = first[characters], first[characters + 1] - first[characters]
    hashes = hashes.copy()
    for step in range(int(length.max(initial=0))):
        longer = length > step
        hashes[longer] = (hashes[longer] ^ data[begin[longer] + step]) * FNV_PRIME
    return hashes


def _is_edge(
    characters: NDArray[np.int64], word_of_character: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return whether a character is the `<` or `>` of its word: alone, these are not n-grams."""
    padded = np.concatenate([[-1], word_of_character, [-1]])
    here = padded[characters + 1]
    edge: NDArray[np.bool_] = (padded[characters] != here) | (padded[characters + 2] != here)
    return edge
