"""Collocates: words that occur more often with one sense of a word than with the others.

They are ranked by the log-likelihood ratio (Dunning 1993, "Accurate Methods for the Statistics of
Surprise and Coincidence") of a word's presence in the contexts of a sense and of the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import log

import numpy as np
from numpy.typing import NDArray

from indexes.text.unspaced import spell_out
from indexes.text.words import words_of

# The 5 % significance level: chi-squared with one degree of freedom.
LEAST = 3.84
FEWEST_CONTEXTS = 2


def typical_words(
    contexts: Sequence[str], labels: NDArray[np.intp], word: str, count: int
) -> list[tuple[str, ...]]:
    """Return the top `count` collocates of each sense, numbered from 0, in lower case.

    `word` itself is excluded. The highest ratio comes first, ties in alphabetical order. A word
    counts once per context.
    """
    senses = int(labels.max(initial=-1)) + 1
    sizes = np.bincount(labels, minlength=senses).tolist()
    counts = [Counter[str]() for _ in range(senses)]
    for context, label in zip(contexts, labels.tolist(), strict=True):
        counts[label].update(set(words_of(spell_out(context, query=True), lower=True)))
    total = sum(counts, Counter[str]())
    for part in words_of(word, lower=True):  # several in an entry such as `u.s.`
        total.pop(part, None)
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
    """Return Dunning's -2 log lambda of `here` of `size` contexts and `there` of `others`."""
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
