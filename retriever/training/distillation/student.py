"""The fit of a student: a table of token vectors.

The ranking term of the loss is the Kullback-Leibler divergence between the softmaxes over the
scores of student and teacher (Hinton et al. 2015, "Distilling the Knowledge in a Neural Network").
Adam (Kingma and Ba 2015) uses a row's moments of its last update.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retriever.embedders.base import Matrix, unit

RARE = 1e-3  # a of a / (a + p), as in SIF
SMALLEST = 1e-9
FIRST_MOMENT, SECOND_MOMENT, STABLE = 0.9, 0.999, 1e-8
# Rows of that many tokens, with their moments, fit into a core's cache.
ROWS_AT_ONCE = 128


@dataclass(frozen=True)
class TrainingSet:
    """Token counts, sparse (texts, vocabulary), with the teacher's unit vectors (texts, dim)."""

    tokens: Any
    vectors: Matrix

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitem__(self, texts: NDArray[np.int64] | slice) -> TrainingSet:
        return TrainingSet(self.tokens[texts], self.vectors[texts])

    def concatenate(self, others: TrainingSet) -> TrainingSet:
        """Return the concatenation with other texts."""
        from scipy.sparse import vstack

        tokens = vstack([self.tokens, others.tokens], format="csr")
        return TrainingSet(tokens, np.concatenate([self.vectors, others.vectors]))


def with_means(pieces: Matrix, unread: NDArray[np.bool_], lessons: TrainingSet) -> Matrix:
    """Return vectors of tokens with those of `unread` ones replaced by a mean.

    It is the direction of the mean vector of the texts that have the token; zero if none has it.
    """
    if not unread.any():
        return pieces
    found = pieces.copy()
    found[unread] = unit(np.asarray(lessons.tokens[:, unread].T @ lessons.vectors, np.float32))
    return found


def at_most(count: int, vectors: Matrix) -> Matrix:
    """Return `count` vectors at most, evenly spread among them."""
    return vectors[:: -(-len(vectors) // count) or 1]


def initial_table(pieces: Matrix, tokens: Any) -> Matrix:
    """Return the initial table: the teacher's vector of each single token, SIF-weighted.

    The weight is a / (a + p), where p is the token's share of the corpus (Arora et al. 2017).
    """
    counts = np.asarray(tokens.sum(axis=0), np.float64).ravel()
    shares = counts / max(counts.sum(), 1.0)
    return np.asarray(pieces * (RARE / (RARE + shares))[:, None], np.float32)


@dataclass(frozen=True)
class FitOptions:
    """Options of the fit.

    The number of epochs gives about `steps` batches, within `epochs` and `most_epochs`. `rate` is
    Adam's learning rate in the first epoch; it decays exponentially to `last_rate`. `contrast` is
    the weight of the ranking term relative to the cosine, `sharpness` its inverse temperature. The
    fit stops early when an epoch gains less than `least_gain` of cosine on held-out texts; with
    None, never. Afterwards, the table is mapped with the penalty `map_penalty`, see `mapped`; with
    None, it is not.
    """

    steps: int = 400
    epochs: int = 10
    most_epochs: int = 20
    batch: int = 256
    rate: float = 2e-3
    last_rate: float = 2.5e-4
    contrast: float = 4.0
    sharpness: float = 20.0
    least_gain: float | None = 1e-4
    map_penalty: float | None = None

    def epochs_of(self, lessons: int) -> int:
        """Return the number of epochs over a training set of this size."""
        wanted = self.steps * self.batch // max(lessons, 1)
        return min(self.most_epochs, max(self.epochs, wanted))

    def rate_of(self, epoch: int, epochs: int) -> float:
        """Return the learning rate of an epoch, counted from 0."""
        return float(self.rate * (self.last_rate / self.rate) ** (epoch / max(epochs - 1, 1)))


@dataclass(frozen=True)
class Fitted:
    """A fitted table (vocabulary, dim), its mean cosine on held-out texts, and its epochs."""

    table: Matrix
    cosine: float
    epochs: int


def fit(
    start: Matrix,
    lessons: TrainingSet,
    held_out: TrainingSet,
    anchors: Matrix,
    recipe: FitOptions,
    seed: int,
    progress: Callable[[int, int], None],
) -> Fitted:
    """Fit a table from the initial values `start` (vocabulary, dim), which are not modified.

    `anchors` (n, dim) are the vectors to rank; there may be none. Return the table of the best
    epoch, or that of the last one if the fit does not stop early, mapped if `recipe` says so. The
    same arguments give the same table.
    """
    fitting = TableFit(start.astype(np.float32, copy=True), anchors, recipe)
    best = Fitted(start, mean_cosine(start, held_out), 0)
    for epoch in run_epochs(fitting, lessons, seed, progress):
        cosine = mean_cosine(fitting.table, held_out)
        if recipe.least_gain is None or not len(held_out):
            best = Fitted(fitting.table, cosine, epoch + 1)
            continue
        if cosine > best.cosine:
            gain, best = cosine - best.cosine, Fitted(fitting.table.copy(), cosine, epoch + 1)
            if gain >= recipe.least_gain:
                continue
        break
    if recipe.map_penalty is None:
        return best
    table = mapped(best.table, lessons, recipe.map_penalty)
    return Fitted(table, mean_cosine(table, held_out), best.epochs)


def mapped(table: Matrix, lessons: TrainingSet, penalty: float) -> Matrix:
    """Return a table after a linear map of its vectors to the teacher's vectors of the lessons.

    It is that of ridge regression, with a penalty on its distance from the identity: `penalty`
    times the mean eigenvalue of the second moments. It also moves tokens that no lesson has.
    """
    vectors = unit(np.asarray(lessons.tokens @ table, np.float32)).astype(np.float64)
    moments = vectors.T @ vectors
    ridge = penalty * np.trace(moments) / len(moments) * np.eye(len(moments))
    if not ridge.any():
        return table
    right = vectors.T @ lessons.vectors + ridge
    return np.asarray(table @ np.linalg.solve(moments + ridge, right), np.float32)


def run_epochs(
    fitting: TableFit, lessons: TrainingSet, seed: int, progress: Callable[[int, int], None]
) -> Iterator[int]:
    """Yield the number of each epoch, counted from 0, after its updates of the table."""
    recipe, random = fitting.recipe, np.random.default_rng(seed)
    epochs, steps = recipe.epochs_of(len(lessons)), -(-len(lessons) // recipe.batch)
    aims = fitting.aims(lessons.vectors)
    for epoch in range(epochs):
        order = random.permutation(len(lessons))
        for step in range(steps):
            batch = order[step * recipe.batch : (step + 1) * recipe.batch]
            fitting.step(lessons.tokens[batch], aims[batch], recipe.rate_of(epoch, epochs))
            progress(epoch * steps + step + 1, epochs * steps)
        yield epoch


def mean_cosine(table: Matrix, lessons: TrainingSet) -> float:
    """Return the mean cosine of student and teacher vectors; 0.0 without texts."""
    if not len(lessons):
        return 0.0
    sums = unit(np.asarray(lessons.tokens @ table, np.float32))
    return float(np.einsum("ij,ij->i", sums, lessons.vectors, dtype=np.float64).mean())


class TableFit:
    """A table during fitting, with Adam's moments of every row."""

    def __init__(self, table: Matrix, anchors: Matrix, recipe: FitOptions) -> None:
        self.table, self.recipe = table, recipe
        self._anchors = anchors if recipe.contrast else anchors[:0]
        self._steps = 0
        self._mean, self._square = np.zeros_like(table), np.zeros_like(table)

    def aims(self, targets: Matrix) -> Matrix:
        """Return what the directions of texts are drawn to: the part of the gradient that is fixed.

        It is the teacher's vector of each text (n, dim) plus the mean of the anchors by the
        teacher's softmax, which needs to be computed only once.
        """
        parts = range(0, len(targets), self.recipe.batch)
        some = (targets[part : part + self.recipe.batch] for part in parts)
        return np.concatenate([targets[:0], *(one + self._mean_anchors(one) for one in some)])

    def step(self, bags: Any, aims: Matrix, rate: float) -> None:
        """Update the rows of a batch's tokens, sparse (batch, vocabulary)."""
        from scipy.sparse import csr_array

        # A batch has a few thousand of tens of thousands of tokens: compute on these alone.
        tokens, columns = np.unique(bags.indices, return_inverse=True)
        shape = (len(aims), len(tokens))
        bags = csr_array((bags.data, columns, bags.indptr), shape=shape)
        gradient = self.gradient(np.asarray(bags @ self.table[tokens]), aims)
        self._update(tokens, np.asarray(bags.T @ gradient), rate)

    def gradient(self, sums: Matrix, aims: Matrix) -> Matrix:
        """Return the gradient of the loss with respect to each text's sum of token vectors."""
        lengths = np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), SMALLEST)
        directions = sums / lengths
        by_direction = self._mean_anchors(directions) - aims
        along = np.einsum("ij,ij->i", directions, by_direction)[:, None]
        return np.asarray((by_direction - directions * along) / lengths, np.float32)

    def _mean_anchors(self, vectors: Matrix) -> Matrix:
        """Return the mean anchor by the softmax over the cosines, times the weight of the term."""
        if not len(self._anchors):
            return np.zeros_like(vectors)
        # No cosine is above 1, so nothing overflows.
        odds = vectors @ self._anchors.T
        odds -= 1
        odds *= np.float32(self.recipe.sharpness)
        np.exp(odds, out=odds)
        weights = np.float32(self.recipe.contrast) / odds.sum(axis=1, keepdims=True)
        return np.asarray(odds @ self._anchors * weights, np.float32)

    def _update(self, tokens: NDArray[np.int64], gradient: Matrix, rate: float) -> None:
        self._steps += 1
        # Correct the bias of the moments, which start at zero.
        rate = rate / (1 - FIRST_MOMENT**self._steps)
        spread = 1 - SECOND_MOMENT**self._steps
        for first in range(0, len(tokens), ROWS_AT_ONCE):
            rows, slope = tokens[first:][:ROWS_AT_ONCE], gradient[first:][:ROWS_AT_ONCE]
            mean, square = self._mean[rows], self._square[rows]
            mean += (1 - FIRST_MOMENT) * (slope - mean)
            square += (1 - SECOND_MOMENT) * (slope * slope - square)
            self._mean[rows], self._square[rows] = mean, square
            self.table[rows] -= rate * mean / (np.sqrt(square / spread) + STABLE)
