"""From the vectors of words to the vector of a text."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retriever.embedders.base import Matrix
from retriever.embedders.tokens import Words

__all__ = ["counts_of", "mean"]


def mean(words: Words, rows: NDArray[np.int64], table: Matrix) -> Matrix:
    """The arithmetic mean of the vectors of each text's known words, (len(words), dim).

    `rows` says for each distinct word its row in `table`, -1 for an unknown one. Vectors are taken
    as they are, long ones counting for more; a word counts as often as it occurs, stop words as any
    other; unknown words are left out. A text without a known word gets zeros.
    """
    from scipy.sparse import csr_array

    occurrences = rows[words.codes]
    known = occurrences >= 0
    starts = np.concatenate([[0], np.cumsum(known)])[words.offsets]
    columns = occurrences[known]
    ones = np.ones(len(columns), np.float32)
    # A product with ones adds up rows without a copy of a vector for every word.
    sums = csr_array((ones, columns, starts), shape=(len(words), len(table))) @ table
    counts = np.maximum(np.diff(starts), 1).astype(np.float32)
    return np.asarray(sums / counts[:, None], dtype=np.float32)


def counts_of(words: Words, rows: NDArray[np.int64]) -> tuple[int, int]:
    """How many words occur, repeats counted, and how many of these are known."""
    return len(words.codes), int(np.count_nonzero(rows[words.codes] >= 0))
