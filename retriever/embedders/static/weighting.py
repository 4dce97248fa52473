"""From how often words occur to how much they weigh in the mean of a text.

All are pure functions over arrays; nothing here knows a word by name. A word that a corpus does not
have weighs like one that it has once, so counts below 1 are taken as 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# The value that Arora et al. use throughout; they found anything from 1e-3 to 1e-4 to do.
SIF_A = 1e-3

# The walk's length where there is no corpus to take it from: Ethayarajh's own for single sentences.
WORDS_OF_A_SENTENCE = 11.0

# Mandelbrot's offset for English text.
ZIPF_OFFSET = 2.7


def idf(texts_with: NDArray[Any], texts: int) -> Floats:
    """Inverse document frequency: ln((N + 1) / max(df, 1)), for each word.

    `texts_with` is df, in how many of the N `texts` a word is (Sparck Jones 1972). The one added to
    N keeps the weight of a word that is in every text above zero, if only just: a text made of
    such words still has a vector. No texts at all count as one.
    """
    frequencies: Floats = np.maximum(np.asarray(texts_with, np.float64), 1.0)
    return np.asarray(np.log((max(texts, 1) + 1.0) / frequencies), np.float64)


def sif(probabilities: NDArray[Any], a: float = SIF_A) -> Floats:
    """Smooth inverse frequency: a / (a + p(w)), for each word.

    Arora, Liang and Ma, "A Simple but Tough-to-Beat Baseline for Sentence Embeddings", ICLR 2017,
    algorithm 1.
    """
    return np.asarray(a / (a + np.asarray(probabilities, np.float64)), np.float64)


def usif(probabilities: NDArray[Any], a: float) -> Floats:
    """Unsupervised smooth inverse frequency: a / (a / 2 + p(w)), for each word; `a` by `usif_a`.

    Ethayarajh, "Unsupervised Random Walk Sentence Embeddings: A Strong but Simple Baseline",
    RepL4NLP 2018. Divided through by `a`, so that an infinite one gives every word the weight 2.
    """
    return np.asarray(1.0 / (0.5 + np.asarray(probabilities, np.float64) / a), np.float64)


def usif_a(probabilities: NDArray[Any], length: float) -> float:
    """The parameter of `usif`: a = (1 - alpha) / (alpha Z), with Z = V / 2.

    V is the number of words, `probabilities` are theirs, and `length` n is the number of words that
    a text has on average. Alpha is the share of the V words that are likelier than 1 - (1 - 1/V)^n,
    the chance that a walk of n steps over all words comes upon a given one (Ethayarajh 2018, as in
    the author's implementation). Where no word is so likely, or all are, alpha would make `a`
    infinite or zero: at least one word is counted as likely, and at least one as not. `inf` where
    there are fewer than two words, which then weigh alike.
    """
    number = len(probabilities)
    if number < 2:
        return float("inf")
    # -expm1(n log1p(-1/V)) is 1 - (1 - 1/V)^n without its rounding for a large V.
    threshold = -np.expm1(length * np.log1p(-1.0 / number))
    likely = int(np.count_nonzero(np.asarray(probabilities, np.float64) > threshold))
    alpha = min(max(likely, 1), number - 1) / number
    return float((1.0 - alpha) / (alpha * 0.5 * number))


def zipf(number: int) -> Floats:
    """The probability of each of `number` words, likeliest first, by their rank alone.

    p(r) is proportional to 1 / (r + 2.7), r = 1, 2, ... (Zipf's law with Mandelbrot's offset), and
    sums to 1. Files of word vectors have the most frequent words first.
    """
    inverse: Floats = 1.0 / (np.arange(1, number + 1, dtype=np.float64) + ZIPF_OFFSET)
    return np.asarray(inverse / inverse.sum(), np.float64)
