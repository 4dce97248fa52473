"""BM25 with other parameters than tantivy computes with: scored from its postings.

tantivy's score of a single term, idf 2.2 f / (f + K), gives the frequency f = K s / (1 - s) for
s = score / (2.2 idf), where K = 1.2 (0.25 + 0.75 l / mean l) follows from the length l. The score
by other parameters is then exact to single precision, however large f is: an error of f in s is as
small in the new score.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from indexes.lexical.options import K1, B, LexicalOptions
from indexes.neighbors import Keys, Matrix, is_among

if TYPE_CHECKING:
    from indexes.lexical.bm25 import LexicalIndex

DECIMALS = 4
# Postings that are kept, a number each for the row and for the score: 64 MB.
KEPT_POSTINGS = 4_000_000
# Lengths below this are exact in one byte; above it, a length keeps four binary digits.
EXACT, DIGITS = 24, 4

Postings = tuple[NDArray[np.int32], NDArray[np.float64]]


class TunedScores:
    """Scores the passages of an index by k1 and b of its own; threads may share it."""

    def __init__(self, index: LexicalIndex, options: LexicalOptions) -> None:
        self._index, self._options = index, options
        self._lock = threading.Lock()
        self._kept = dict[str, Postings]()

    def fetch(
        self, terms: Mapping[str, float], *, all_of: bool
    ) -> Callable[[int], tuple[Keys, Matrix]]:
        """Return what fetches the best passages with any, or all, of some terms; see `Fetch`."""
        scores, counts = self._sums(terms)
        rows = np.flatnonzero(counts == len(terms) if all_of and terms else counts)
        values = np.round(scores[rows], DECIMALS).astype(np.float32)
        order = np.lexsort((rows, -values))
        keys, values = self._lengths[0][rows[order]], values[order]
        return lambda limit: (keys[:limit], values[:limit])

    def scored(self, terms: Mapping[str, float], wanted: Keys) -> tuple[Keys, Matrix]:
        """Return the scores of those of some keys, ascending, that have any of the terms."""
        scores, counts = self._sums(terms)
        keys = self._lengths[0]
        rows = np.flatnonzero((counts > 0) & is_among(keys, wanted))
        return keys[rows], np.round(scores[rows], DECIMALS).astype(np.float32)

    def _sums(self, terms: Mapping[str, float]) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
        """Return for each row the sum of the terms' scores, and how many of the terms it has."""
        rows = len(self._lengths[0])
        scores, counts = np.zeros(rows), np.zeros(rows, np.int32)
        for term, weight in terms.items():
            having, values = self._postings(term)
            scores[having] += weight * values
            counts[having] += 1
        return scores, counts

    @cached_property
    def _lengths(self) -> tuple[Keys, NDArray[np.float64], float, float]:
        """The keys of live passages, ascending, their lengths in one byte, and two means.

        The mean length of live passages, and that of all which tantivy knows.
        """
        keys, lengths = self._index.lengths()
        live = is_among(keys, self._index.keys)
        mean = float(lengths[live].mean()) if live.any() else 0.0
        every = np.float32(lengths.sum()) / np.float32(max(1, len(lengths)))
        return keys[live], in_one_byte(lengths[live]), mean, float(every)

    def _postings(self, term: str) -> Postings:
        """Return the rows of live passages with a term, and its score in each."""
        with self._lock:
            known = self._kept.get(term)
        if known is not None:
            return known
        found = self._read(term)
        with self._lock:
            self._kept[term] = found
            while sum(len(rows) for rows, _ in self._kept.values()) > KEPT_POSTINGS:
                del self._kept[next(iter(self._kept))]
        return found

    def _read(self, term: str) -> Postings:
        keys, lengths, mean, every = self._lengths
        having, scores = self._index.postings(term)
        count = len(having)
        live = is_among(having, keys)
        having, scores = having[live], scores[live]
        if not len(having):
            return np.empty(0, np.int32), np.empty(0)
        rows = np.searchsorted(keys, having)
        idf = math.log1p((self._index.rows - count + 0.5) / (count + 0.5))
        share = np.minimum(scores / ((K1 + 1) * idf), 1 - 2.0**-24)
        frequencies = np.maximum(
            1.0, np.round(K1 * (1 - B + B * lengths[rows] / every) * share / (1 - share))
        )
        k1, b = self._options.k1, self._options.b
        below = frequencies + k1 * (1 - b + b * lengths[rows] / mean)
        return rows.astype(np.int32), self._index.idf(term) * (k1 + 1) * frequencies / below


def in_one_byte(lengths: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return lengths as Lucene and tantivy keep them: rounded down to what one byte can hold."""
    beyond = np.maximum(lengths - EXACT, 0)
    # `frexp` gives the number of binary digits, exactly up to 2**53.
    dropped = np.maximum(np.frexp(beyond.astype(np.float64))[1] - DIGITS, 0)
    return np.where(lengths < EXACT, lengths, (beyond >> dropped << dropped) + EXACT).astype(float)
