"""BM25 of a corpus in which, for each query, one document has another text.

Its statistics are those of that corpus: the number of passages, how many have a term, and their
mean length. tantivy has the statistics of its index only, so texts are read once and counted here,
for the terms of the queries alone; scores are those of `bm25`, rounded to as many decimals.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexes.lexical.bm25 import DECIMALS, Terms, tokens_of
from indexes.lexical.options import LexicalOptions
from indexes.lexical.tuned import in_one_byte
from indexes.neighbors import Keys, Matrix

Rows = NDArray[np.intp]
Frequencies = NDArray[np.float64]


@dataclass(frozen=True)
class CountedTerms:
    """How often passages have some terms: `keys` ascending, and the number of words of each."""

    options: LexicalOptions
    keys: Keys
    lengths: NDArray[np.int64]
    postings: Mapping[str, tuple[Rows, Frequencies]]

    @classmethod
    def of(
        cls, options: LexicalOptions, passages: Iterable[tuple[int, str]], terms: Iterable[str]
    ) -> CountedTerms:
        """Count terms in passages, given by key, ascending, with their texts."""
        wanted = frozenset(terms)
        found: dict[str, tuple[array[int], array[int]]] = {}
        keys, lengths = array("q"), array("q")
        for row, (key, text) in enumerate(passages):
            tokens = tokens_of(text, options)
            keys.append(key)
            lengths.append(len(tokens))
            for term, count in Counter(tokens).items():
                if term in wanted:
                    rows, counts = found.setdefault(term, (array("q"), array("q")))
                    rows.append(row)
                    counts.append(count)
        postings = {
            term: (np.array(rows, np.intp), np.array(counts, np.float64))
            for term, (rows, counts) in found.items()
        }
        return cls(options, np.array(keys, np.int64), np.array(lengths, np.int64), postings)

    def scores(self, terms: Terms, replaced: Rows, texts: Sequence[str]) -> tuple[Matrix, Matrix]:
        """Return BM25 of all passages, (rows,), and of the `texts` that stand for some of them.

        `replaced` are the rows that they stand for; these score -inf. 0 without a common term.
        """
        counts = [Counter(tokens_of(text, self.options)) for text in texts]
        own = np.array([count.total() for count in counts], np.int64)
        passages = len(self.keys) - len(replaced) + len(texts)
        words = int(self.lengths.sum() - self.lengths[replaced].sum() + own.sum())
        mean = max(words / max(passages, 1), np.finfo(float).tiny)
        k1, b = self.options.k1, self.options.b
        norms = k1 * (1 - b + b * in_one_byte(self.lengths) / mean)
        own_norms = k1 * (1 - b + b * in_one_byte(own) / mean)
        scores, own_scores = np.zeros(len(self.keys)), np.zeros(len(texts))
        for term, weight in terms.items():
            rows, often = self.postings.get(term, _NOWHERE)
            own_often = np.array([count[term] for count in counts], np.float64)
            kept = ~np.isin(rows, replaced)
            having = int(np.count_nonzero(kept) + np.count_nonzero(own_often))
            if not having:
                continue
            idf = math.log1p((passages - having + 0.5) / (having + 0.5))
            value = weight * idf * (k1 + 1)
            scores[rows] += value * often / (often + norms[rows])
            # Without the term, a text of no words at k1 = 0 would divide zero by zero.
            some = own_often > 0
            own_scores[some] += value * own_often[some] / (own_often[some] + own_norms[some])
        rounded = np.round(scores, DECIMALS).astype(np.float32)
        rounded[replaced] = -np.inf
        return rounded, np.round(own_scores, DECIMALS).astype(np.float32)


_NOWHERE: tuple[Rows, Frequencies] = (np.empty(0, np.intp), np.empty(0))
