"""Weighted means of word vectors, by a static embedder's options and its fit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.errors import InputError
from indexes.text.words import text_chunks
from retriever.embedders.base import Matrix
from retriever.embedders.static import components, pooling
from retriever.embedders.static.components import CommonComponents, ComponentRemoval
from retriever.embedders.static.corpus_counts import CountAll, count_words
from retriever.embedders.static.fit import (
    Fit,
    fit_of_counts,
    row_weights,
    top_of_corpus,
    word_components,
)
from retriever.embedders.static.options import AUTO, StaticOptions
from retriever.embedders.static.vocabulary import TokenRows, Vocabulary

NO_TOTALS = np.zeros(0)
Floats = NDArray[np.float64]


class WeightedMeans:
    """Unit vectors of texts, from rows of a vocabulary.

    Row weights and, without a fit, the vocabulary's common components are computed at first use.
    Otherwise only the rows that occur in the texts are read.
    """

    def __init__(
        self, vocabulary: Vocabulary, options: StaticOptions, fit: Fit | None = None
    ) -> None:
        self._vocabulary, self._options, self._fit = vocabulary, options, fit

    def of_batch(self, bags: TokenRows) -> Matrix:
        """Return unit vectors (texts, dim) float32; zeros where nothing is left."""
        return pooling.normalize_rows(*self.sums(bags))

    def of_text(self, rows: list[int]) -> Matrix:
        """Return the vector (1, dim) of one text: the fast twin of `of_batch`.

        `test_one_query_alone_is_the_same_to_the_last_bit` holds them equal.
        """
        places = np.array(rows, np.int32)
        offsets = np.array([0, len(rows)], np.int32)
        weights = None if self._weights is None else self._weights[places]
        table = self._vocabulary.vectors
        if not self._options.linear:
            # Words are transformed one by one: transform only these, not the entire table.
            table, places = self._changed(table[places]), np.arange(len(rows), dtype=np.int32)
        pooled = self._pooled(places, offsets, weights, table, totals=self._has_mean)
        return pooling.normalize_rows(*self.without_components(*pooled))

    def sums(self, bags: TokenRows) -> tuple[Floats, Floats | float]:
        """Return weighted sums (texts, dim) without common components, and their rounding noise.

        See `pooling.without`.
        """
        return self.without_components(*self.pooled(bags, totals=self._has_mean))

    def pooled(self, bags: TokenRows, *, totals: bool) -> tuple[Matrix, Floats]:
        """Return weighted sums (texts, dim), and if wanted the `totals` of weights (texts,).

        If the options are linear, they are the same whatever components are removed.
        """
        weights = self._weights
        if weights is not None:
            weights = self._weights_of(bags, weights)[bags.rows]
        table = bags.table if self._options.linear else self._changed(bags.table)
        return self._pooled(bags.rows, bags.offsets, weights, table, totals=totals)

    def without_components(self, sums: Matrix, totals: Floats) -> tuple[Floats, Floats | float]:
        """Return what `sums` does, from what `pooled` returned."""
        return pooling.without(sums, totals, self._common)

    def _pooled(
        self,
        rows: NDArray[np.int32],
        offsets: NDArray[Any],
        weights: Matrix | None,
        table: Matrix,
        *,
        totals: bool,
    ) -> tuple[Matrix, Floats]:
        sums = pooling.sums(rows, offsets, weights, table)
        if self._options.weighting == "usif":
            sums = pooling.per_dimension(sums, rows, offsets, table)
        return sums, pooling.weight_totals(offsets, weights) if totals else NO_TOTALS

    @property
    def _has_mean(self) -> bool:
        return self._common is not None and self._common.has_mean

    def _changed(self, table: Matrix) -> Matrix:
        return pooling.transform_words(table, self._common_of_words, unit=self._options.unit_words)

    @cached_property
    def _weights(self) -> Matrix | None:
        """Weight of each row of the vocabulary; None if all are equal."""
        if self._options.weighting == "mean":
            return None
        if self._options.is_auto:
            raise InputError(
                f"The weighting '{AUTO}' is chosen on a corpus. Build an index, or call "
                "embedder.fitted(texts)."
            )
        options, number = self._options, len(self._vocabulary.vectors)
        return row_weights(options.weighting, self._fit, number, rank_floor=options.rank_floor)

    def _weights_of(self, bags: TokenRows, weights_of_rows: Matrix) -> Matrix:
        """Return the weight of each distinct word."""
        # Without a corpus, a word built from subwords (row -1) is as rare as the file's last.
        weights = weights_of_rows[bags.ids]
        if self._fit is not None and (bags.ids < 0).any():
            once = float(self._fit.weigh(self._options.weighting, 1, 1))
            for place in np.flatnonzero(bags.ids < 0).tolist():
                weights[place] = self._other_weights.get(bags.words[place], once)
        return weights

    @cached_property
    def _other_weights(self) -> dict[str, float]:
        return self._fit.weights_of_others(self._options.weighting) if self._fit else {}

    @cached_property
    def _common(self) -> ComponentRemoval | None:
        """What to remove from sums: components of texts, and of words if that is linear."""
        texts = None if self._fit is None else self._fit.common
        if self._fit is None and self._options.components:
            raise InputError(
                f"Removing {self._options.components} common components requires a fit. "
                "Call embedder.fitted(texts), or build an index, which fits it."
            )
        return components.removal(self._top if self._options.linear else None, texts)

    @cached_property
    def _common_of_words(self) -> ComponentRemoval | None:
        return components.removal(self._top, None)

    @cached_property
    def _top(self) -> CommonComponents | None:
        """Common components of words: fitted, or else those of the entire vocabulary."""
        if self._fit is not None:
            return self._fit.top
        return word_components(self._vocabulary.vectors, self._options)


def fit_on(
    texts: Iterable[str],
    vocabulary: Vocabulary,
    options: StaticOptions,
    count_all: CountAll | None = None,
) -> Fit:
    """Fit what the options need on the texts of a corpus, read once; see `count_words`.

    Common components of texts are computed from a sample, with the final weights.
    """
    counts = count_words(texts, vocabulary, count_all)
    fit = fit_of_counts(counts, top_of_corpus(counts, vocabulary, options))
    if not options.removed:
        return fit
    means = _means(counts.sample, vocabulary, WeightedMeans(vocabulary, options, fit))
    weighted = options.weighting == "usif"
    common = components.common_components(means, options.removed, weighted=weighted)
    return replace(fit, common=common)


def _means(
    texts: Sequence[str], vocabulary: Vocabulary, averages: WeightedMeans
) -> NDArray[np.float64]:
    """Return the weighted means of the words of texts (texts, dim), unscaled as in the papers."""
    parts = [np.zeros((0, vocabulary.dim))]
    for chunk in text_chunks(texts):
        bags = vocabulary.bags(chunk)
        counts = np.maximum(np.diff(bags.offsets), 1)
        parts.append(averages.sums(bags)[0] / counts[:, None])
    return np.concatenate(parts)
