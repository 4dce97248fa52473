"""Weighting of words by their frequency, as pure functions over arrays.

An unseen word weighs as much as one that occurs once: counts below 1 are raised to 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# The value of Arora et al., who found that anything from 1e-3 to 1e-4 works.
SIF_A = 1e-3
# Random walk length without a corpus: Ethayarajh's value for single sentences.
WORDS_OF_A_SENTENCE = 11.0
# Mandelbrot's offset for English text.
ZIPF_OFFSET = 2.7


def idf(texts_with: NDArray[Any], texts: int) -> Floats:
    """Return the inverse document frequency ln((N + 1) / max(df, 1)) of each word.

    `texts_with` is df among the N `texts` (Sparck Jones 1972). N + 1 keeps the weight of a word in
    every text above zero, so that a text of such words has a vector. N is at least 1.
    """
    frequencies: Floats = np.maximum(np.asarray(texts_with, np.float64), 1.0)
    return np.asarray(np.log((max(texts, 1) + 1.0) / frequencies), np.float64)


def sif(probabilities: NDArray[Any], a: float = SIF_A) -> Floats:
    """Return the smooth inverse frequency a / (a + p(w)) of each word.

    Arora, Liang and Ma, "A Simple but Tough-to-Beat Baseline for Sentence Embeddings", ICLR 2017,
    algorithm 1.
    """
    return np.asarray(a / (a + np.asarray(probabilities, np.float64)), np.float64)


def usif(probabilities: NDArray[Any], a: float) -> Floats:
    """Return the unsupervised smooth inverse frequency a / (a / 2 + p(w)); see `usif_a` for `a`.

    Ethayarajh, "Unsupervised Random Walk Sentence Embeddings: A Strong but Simple Baseline",
    RepL4NLP 2018. Divided through by `a`, so that an infinite `a` gives every word weight 2.
    """
    return np.asarray(1.0 / (0.5 + np.asarray(probabilities, np.float64) / a), np.float64)


def usif_a(probabilities: NDArray[Any], length: float) -> float:
    """Return the parameter of `usif`: a = (1 - alpha) / (alpha Z), with Z = V / 2.

    V is the number of words, and `length` n the mean length of a text in words. Alpha is the share
    of words with a probability above 1 - (1 - 1/V)^n, the chance that a uniform random walk of n
    steps visits a given word (Ethayarajh 2018, as in the author's implementation). Alpha is kept
    off 0 and 1 by one word, so that `a` is finite and positive. `inf` for fewer than two words,
    which then weigh the same.
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
    """Return the probabilities of `number` words by rank, in descending order, with sum 1.

    p(r) is proportional to 1 / (r + 2.7), r = 1, 2, ... (Zipf's law with Mandelbrot's offset).
    """
    inverse: Floats = 1.0 / (np.arange(1, number + 1, dtype=np.float64) + ZIPF_OFFSET)
    return np.asarray(inverse / inverse.sum(), np.float64)
