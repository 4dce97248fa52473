"""A table with a vector for every token, fitted so that a text's sum points where its teacher does.

The sum over a text's tokens is trained to have the direction of the teacher's vector of that text
(the cosine), and to rank the vectors of an index as the teacher does (the Kullback-Leibler
divergence between the two softmaxes over scores, as in Hinton et al. 2015, "Distilling the
Knowledge in a Neural Network"). Adam (Kingma and Ba 2015) moves only the rows of the tokens at
hand, with the moments that they had when they were last seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retriever.embedders.base import Matrix, unit

SMALLEST = 1e-9
FIRST_MOMENT, SECOND_MOMENT, STABLE = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class TrainingSet:
    """Texts as the student sees them, and as the teacher does.

    `tokens` is sparse (texts, vocabulary), how often each token is in each text; `vectors` are the
    teacher's (texts, dim), of length 1.
    """

    tokens: Any
    vectors: Matrix

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitem__(self, texts: NDArray[np.int64] | slice) -> TrainingSet:
        return TrainingSet(self.tokens[texts], self.vectors[texts])

    def and_also(self, others: TrainingSet) -> TrainingSet:
        """These and others."""
        from scipy.sparse import vstack

        tokens = vstack([self.tokens, others.tokens], format="csr")
        return TrainingSet(tokens, np.concatenate([self.vectors, others.vectors]))


@dataclass(frozen=True)
class Recipe:
    """How a table is fitted.

    There are as many epochs as make about `steps` batches, but between `epochs` and `most_epochs`.
    `rate` is Adam's step in the first one; it shrinks evenly (by the same factor each epoch) to
    `last_rate`. `contrast` weighs the ranking against the cosine, at `sharpness` (one over the
    temperature). Fitting ends sooner when an epoch gains less than `least_gain` of cosine on texts
    that were held out.
    """

    steps: int = 400
    epochs: int = 10
    most_epochs: int = 20
    batch: int = 256
    rate: float = 2e-3
    last_rate: float = 2.5e-4
    contrast: float = 4.0
    sharpness: float = 20.0
    least_gain: float = 1e-4

    def epochs_of(self, lessons: int) -> int:
        """How often so many lessons are gone through."""
        wanted = self.steps * self.batch // max(lessons, 1)
        return min(self.most_epochs, max(self.epochs, wanted))

    def rate_of(self, epoch: int, epochs: int) -> float:
        """Adam's step in an epoch, counted from 0."""
        return float(self.rate * (self.last_rate / self.rate) ** (epoch / max(epochs - 1, 1)))


@dataclass(frozen=True)
class Fitted:
    """A fitted table (vocabulary, dim), its mean cosine on held-out texts, the epochs it took."""

    table: Matrix
    cosine: float
    epochs: int


def fit(
    start: Matrix,
    lessons: TrainingSet,
    held_out: TrainingSet,
    anchors: Matrix,
    recipe: Recipe,
    seed: int,
    progress: Callable[[int, int], None],
) -> Fitted:
    """Fit a table, beginning with `start` (vocabulary, dim), which stays as it is.

    `anchors` (n, dim) are vectors of an index that is to be ranked; there may be none. The table
    of the best epoch is kept. The same arguments give the same table.
    """
    fitting = _Fitting(start.astype(np.float32, copy=True), anchors, recipe)
    random = np.random.default_rng(seed)
    epochs, steps = recipe.epochs_of(len(lessons)), -(-len(lessons) // recipe.batch)
    best = Fitted(start, likeness(start, held_out), 0)
    for epoch in range(epochs):
        order = random.permutation(len(lessons))
        for step in range(steps):
            batch = order[step * recipe.batch : (step + 1) * recipe.batch]
            fitting.step(lessons[batch], recipe.rate_of(epoch, epochs))
            progress(epoch * steps + step + 1, epochs * steps)
        cosine = likeness(fitting.table, held_out)
        # Without texts that were held out there is nothing to judge by: the last epoch it is.
        if cosine > best.cosine or not len(held_out):
            gain, best = cosine - best.cosine, Fitted(fitting.table.copy(), cosine, epoch + 1)
            if gain >= recipe.least_gain or not len(held_out):
                continue
        break
    return best


def likeness(table: Matrix, lessons: TrainingSet) -> float:
    """The mean cosine of the student's vectors and the teacher's; 0.0 of no text at all."""
    if not len(lessons):
        return 0.0
    sums = unit(np.asarray(lessons.tokens @ table, np.float32))
    return float(np.einsum("ij,ij->i", sums, lessons.vectors, dtype=np.float64).mean())


class _Fitting:
    """A table on its way, with Adam's moments of every row."""

    def __init__(self, table: Matrix, anchors: Matrix, recipe: Recipe) -> None:
        self.table = table
        self._anchors, self._recipe = anchors, recipe
        self._mean = np.zeros_like(table)
        self._square = np.zeros_like(table)
        self._steps = 0

    def step(self, batch: TrainingSet, rate: float) -> None:
        """Move the rows of a batch's tokens once."""
        from scipy.sparse import csr_array

        # Of tens of thousands of tokens, a batch has some thousands: all else works on these.
        tokens, columns = np.unique(batch.tokens.indices, return_inverse=True)
        shape = (len(batch), len(tokens))
        bags = csr_array((batch.tokens.data, columns, batch.tokens.indptr), shape=shape)
        rows = self.table[tokens]
        pull = self._pull(np.asarray(bags @ rows), batch.vectors)
        self._move(tokens, rows, np.asarray(bags.T @ pull), rate)

    def _pull(self, sums: Matrix, wanted: Matrix) -> Matrix:
        """The gradient of the loss by each text's sum of token vectors."""
        lengths = np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), SMALLEST)
        pointing = sums / lengths
        by_direction = -wanted
        if len(self._anchors) and self._recipe.contrast:
            ranked = self._ranks(pointing) - self._ranks(wanted)
            by_direction += np.float32(self._recipe.contrast) * (ranked @ self._anchors)
        along = np.einsum("ij,ij->i", pointing, by_direction)[:, None]
        return np.asarray((by_direction - pointing * along) / lengths, np.float32)

    def _ranks(self, vectors: Matrix) -> Matrix:
        """How likely each anchor is to be the one that is meant: a softmax over the cosines."""
        # No cosine is above 1, so nothing overflows.
        odds = np.exp(np.float32(self._recipe.sharpness) * (vectors @ self._anchors.T - 1))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True), np.float32)

    def _move(self, tokens: NDArray[np.int64], rows: Matrix, pull: Matrix, rate: float) -> None:
        self._steps += 1
        mean, square = self._mean[tokens], self._square[tokens]
        mean += (1 - FIRST_MOMENT) * (pull - mean)
        square += (1 - SECOND_MOMENT) * (pull * pull - square)
        self._mean[tokens], self._square[tokens] = mean, square
        # The moments begin at zero and are too small at first.
        mean_now = mean / (1 - FIRST_MOMENT**self._steps)
        square_now = square / (1 - SECOND_MOMENT**self._steps)
        self.table[tokens] = rows - rate * mean_now / (np.sqrt(square_now) + STABLE)
