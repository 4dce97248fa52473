"""Words that come beside a word in one of its senses more often than in the others.

By the log-likelihood ratio of Dunning 1993, "Accurate Methods for the Statistics of Surprise and
Coincidence", of a word's presence in the contexts of a sense and in those of the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import log

import numpy as np
from numpy.typing import NDArray

from retriever.embedders.tokenization.words import words_of

# A ratio that chance reaches in 5 % of all cases: chi-squared with one degree of freedom.
LEAST = 3.84
FEWEST_CONTEXTS = 2


def typical_words(
    contexts: Sequence[str], labels: NDArray[np.intp], word: str, count: int
) -> list[tuple[str, ...]]:
    """For each sense, numbered from 0, its `count` most typical words, in lower case.

    Without `word` itself. The highest ratio comes first, equal ones in the order of the alphabet. A
    word counts once in a context.
    """
    senses = int(labels.max(initial=-1)) + 1
    sizes = np.bincount(labels, minlength=senses).tolist()
    counts = [Counter[str]() for _ in range(senses)]
    for context, label in zip(contexts, labels.tolist(), strict=True):
        counts[label].update(set(words_of(context, lower=True)))
    total = sum(counts, Counter[str]())
    total.pop(word, None)
    collocates = []
    for size, own in zip(sizes, counts, strict=True):
        others = len(contexts) - size
        ranked = sorted(
            (-log_likelihood(own[one], size, total[one] - own[one], others), one)
            for one in own.keys() & total.keys()
            if own[one] >= FEWEST_CONTEXTS and own[one] * others > (total[one] - own[one]) * size
        )
        collocates.append(tuple(one for ratio, one in ranked if ratio <= -LEAST)[:count])
    return collocates


def log_likelihood(here: int, size: int, there: int, others: int) -> float:
    """Dunning's -2 log lambda, of `here` of `size` contexts and `there` of `others`."""
    share = (here + there) / (size + others)
    return 2 * sum(
        seen * log(seen / (share_of * among))
        for seen, among, share_of in (
            (here, size, share),
            (size - here, size, 1 - share),
            (there, others, share),
            (others - there, others, 1 - share),
        )
        if seen
    )
