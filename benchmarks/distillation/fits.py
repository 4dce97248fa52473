"""Fits of a student that differ from the product's: other losses, maps, averages, a residual."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack

from benchmarks.distillation.lab import Lab, Side, best
from retriever.embedders.base import Matrix, unit
from retriever.training.distillation.student import (
    FIRST_MOMENT,
    SECOND_MOMENT,
    STABLE,
    FitOptions,
    TableFit,
)


class DrawnToSource(TableFit):
    """A fit in which a sentence is drawn to its own document, in place of a share of its ranking.

    The inverse cloze task (Lee et al. 2019). `sources` (n, dim) are the documents' vectors, zeros
    for texts without one.
    """

    def __init__(self, *given: Any, sources: Matrix, share: float) -> None:
        super().__init__(*given)
        self.sources, self.share = sources, share

    def aims(self, targets: Matrix) -> Matrix:
        """Return the aims with a share of the mean anchor replaced by the source."""
        aims = super().aims(targets)
        has = self.sources.any(axis=1)
        own = self.recipe.contrast * self.sources[has]
        aims[has] += self.share * (own - (aims[has] - targets[has]))
        return aims


class NearestAnchors(TableFit):
    """A fit that ranks for each text only the anchors nearest to the teacher's vector of it."""

    def __init__(self, *given: Any, count: int) -> None:
        super().__init__(*given)
        self.count = count

    def aims(self, targets: Matrix) -> Matrix:
        """Return the aims with the number of each text in a last column."""
        self.near = np.array([best(row, self.count) for row in targets @ self._anchors.T])
        self._rows = self.near
        parts = np.arange(0, len(targets), self.recipe.batch)
        means = []
        for part in parts:
            rows = slice(part, part + self.recipe.batch)
            self._rows = self.near[rows]
            means.append(self._mean_anchors(targets[rows]))
        numbers = np.arange(len(targets), dtype=np.float32)[:, None]
        return np.hstack([targets + np.concatenate(means), numbers])

    def gradient(self, sums: Matrix, aims: Matrix) -> Matrix:
        """Return the gradient by the anchors of each text."""
        self._rows = self.near[aims[:, -1].astype(np.int64)]
        return super().gradient(sums, aims[:, :-1])

    def _mean_anchors(self, vectors: Matrix) -> Matrix:
        odds = np.exp(np.float32(self.recipe.sharpness) * (vectors @ self._anchors.T - 1))
        mask = np.zeros_like(odds)
        np.put_along_axis(mask, self._rows, 1, axis=1)
        odds *= mask
        weights = np.float32(self.recipe.contrast) / odds.sum(axis=1, keepdims=True)
        return np.asarray(odds @ self._anchors * weights, np.float32)


class HeldBack(TableFit):
    """A fit that draws each row that it updates back to where it began, or to zero.

    A penalty on the norm of the change, or of the row, apart from Adam's moments (Loshchilov and
    Hutter 2019).
    """

    def __init__(self, *given: Any, strength: float, to_zero: bool) -> None:
        super().__init__(*given)
        self.strength = strength
        self.origin = np.zeros_like(self.table) if to_zero else self.table.copy()

    def _update(self, tokens: NDArray[np.int64], gradient: Matrix, rate: float) -> None:
        back = self.table[tokens] - self.origin[tokens]
        super()._update(tokens, gradient, rate)
        self.table[tokens] -= np.float32(rate * self.strength) * back


def drawn_to_source(lab: Lab, share: float, chosen: Iterable[str] | None = None) -> Matrix:
    """Fit with a share of each sentence's ranking given to its own document, or of some alone."""
    sources = lab.documents.vectors[lab.of_document].copy()
    among = {*lab.lessons.texts} if chosen is None else {*chosen}
    passages = {*lab.passages.texts}
    left_out = [text in passages or text not in among for text in lab.lessons.texts]
    sources[(lab.of_document < 0) | np.array(left_out)] = 0
    return lab.fitted(kind=partial(DrawnToSource, sources=sources, share=share))


def mean_of_epochs(lab: Lab) -> Matrix:
    """Return the mean of the tables after each epoch of the last half."""
    total, count = np.zeros_like(lab.start), 0
    epochs = lab.recipe.epochs_of(len(lab.lessons.texts))
    for number, fitting in enumerate(lab.epochs()):
        if 2 * number >= epochs:
            total += fitting.table
            count += 1
    return total / np.float32(count)


def with_bigrams(lab: Lab, least: int) -> Lab:
    """Return the distillation with a row for each pair of tokens that documents repeat."""
    size = len(lab.start)
    pairs, counts = np.unique(_pairs(lab, lab.documents.texts)[0], return_counts=True)
    kept = pairs[counts >= least]

    def more(side: Side) -> Side:
        found, rows = _pairs(lab, side.texts)
        known = np.isin(found, kept)
        place = np.searchsorted(kept, found[known])
        shape = (len(side.texts), len(kept))
        ones = np.ones(len(place), np.float32)
        bags = csr_array((ones, (rows[known], place)), shape=shape)
        return replace(side, bags=csr_array(hstack([side.bags, bags], format="csr")))

    sides: dict[str, Any] = {
        name: more(getattr(lab, name))
        for name in ("lessons", "passages", "held_out", "documents", "queries")
    }
    start = np.concatenate([lab.start, np.zeros((len(kept), lab.start.shape[1]), np.float32)])
    assert len(start) == size + len(kept)
    return replace(lab, start=start, **sides)


def _pairs(lab: Lab, texts: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pairs of neighboring tokens as numbers, and the text of each."""
    tokens, offsets = lab.tokenizer.tokens(texts)
    text = np.repeat(np.arange(len(texts)), np.diff(offsets))
    inside = text[1:] == text[:-1]
    pairs = tokens[:-1].astype(np.int64) * len(lab.start) + tokens[1:]
    return pairs[inside], text[1:][inside]


def residual(lab: Lab, table: Matrix, hidden: int, options: FitOptions) -> Any:
    """Return an encoder that adds a two-layer perceptron of the pooled unit vector to it."""
    random = np.random.default_rng(lab.seed)
    dim = table.shape[1]
    inner = random.normal(0, dim**-0.5, (dim, hidden)).astype(np.float32)
    weights = [inner, np.zeros((hidden, dim), np.float32)]
    moments = [(np.zeros_like(one), np.zeros_like(one)) for one in weights]
    given = unit(np.asarray(lab.lessons.bags @ table, np.float32))
    # It computes the loss alone; its table is not used.
    loss = TableFit(table[:0], lab.anchors, options)
    aims = loss.aims(lab.lessons.vectors)
    steps = 0
    for epoch in range(options.most_epochs):
        order = random.permutation(len(given))
        for first in range(0, len(order), options.batch):
            rows = order[first : first + options.batch]
            inputs = given[rows]
            active = np.maximum(inputs @ weights[0], 0)
            gradient = loss.gradient(inputs + active @ weights[1], aims[rows])
            back = (gradient @ weights[1].T) * (active > 0)
            steps += 1
            rate = options.rate_of(epoch, options.most_epochs)
            for one, (mean, square), slope in zip(
                weights, moments, (inputs.T @ back, active.T @ gradient), strict=True
            ):
                mean += (1 - FIRST_MOMENT) * (slope - mean)
                square += (1 - SECOND_MOMENT) * (slope**2 - square)
                ahead = mean / (1 - FIRST_MOMENT**steps)
                one -= rate * ahead / (np.sqrt(square / (1 - SECOND_MOMENT**steps)) + STABLE)

    def encode(side: Side) -> Matrix:
        pooled = unit(np.asarray(side.bags @ table, np.float32))
        return unit(pooled + np.maximum(pooled @ weights[0], 0) @ weights[1])

    return encode


def bm25(lab: Lab, k1: float = 1.2, b: float = 0.75) -> Matrix:
    """Return the BM25 scores of the student's own tokens, each query's divided by its highest."""
    bags = lab.documents.bags.tocsr().astype(np.float64)
    lengths = np.asarray(bags.sum(axis=1)).ravel()
    having = np.asarray((bags > 0).sum(axis=0)).ravel()
    rarity = np.log(1 + (len(lengths) - having + 0.5) / (having + 0.5))
    rows = np.repeat(np.arange(len(lengths)), np.diff(bags.indptr))
    saturated = bags.data + k1 * (1 - b + b * lengths[rows] / lengths.mean())
    bags.data = rarity[bags.indices] * bags.data * (k1 + 1) / saturated
    found = np.asarray((lab.queries.bags @ bags.T).todense(), np.float32)
    return np.asarray(found / np.maximum(found.max(axis=1, keepdims=True), 1e-9), np.float32)
