"""Diversity: of the nearest documents, those that are relevant and unlike each other."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.catalog.filters.conditions import Filter
from indexes.errors import InputError
from indexes.neighbors import COSINE, NO_KEY, Neighbors, nothing
from indexes.search.snapshot import Snapshot
from retriever.embedders.base import unit
from retriever.search.combinations.hybrid import single_indexes
from retriever.search.finders import DenseFinder, Finder
from retriever.search.given import VectorFinder
from retriever.search.queries import Queries

# How many candidates there are for each hit, and at least.
FACTOR, LEAST = 5, 50

Values = NDArray[np.floating]


def diverse(
    snapshot: Snapshot,
    finder: Finder,
    queries: Queries,
    k: int,
    where: Filter | None,
    balance: float,
) -> Neighbors:
    """Return `k` documents of each query by maximal marginal relevance; see `mmr_order`.

    They are chosen from the 5 k nearest, at least 50. Two are as similar as the cosine of the
    stored vectors of their best passages, in the first index of vectors that the finder has;
    without a vector, 0. Relevance is the score if that is a cosine; other scores are scaled to 0
    for the lowest of the candidates and 1 for the highest. Hits keep their scores.

    Raises:
        InputError: the finder has no index of vectors.
    """
    kinds = DenseFinder, VectorFinder
    dense = next((one for one in single_indexes(finder) if isinstance(one, kinds)), None)
    if dense is None:
        raise InputError(
            f"'{finder.name}' has no vectors, by which mmr compares documents. Choose an index of "
            "vectors, or a combination with one."
        )
    found = finder.nearest(snapshot, queries, max(LEAST, FACTOR * k), where)
    view: Any = snapshot.searcher(dense.name)
    is_cosine = finder is dense and view.embedding.similarity == COSINE
    out = nothing(len(found.keys), min(k, found.keys.shape[1]))
    for row, (keys, scores) in enumerate(zip(found.keys, found.scores, strict=True)):
        there = np.flatnonzero(keys != NO_KEY)
        vectors = unit(snapshot.vectors(dense.name, keys[there]))
        relevance = scores[there].astype(np.float64)
        order = mmr_order(
            relevance if is_cosine else _scaled(relevance), vectors @ vectors.T, k, balance
        )
        out.keys[row, : len(order)] = keys[there][order]
        out.scores[row, : len(order)] = scores[there][order]
    return out


def mmr_order(relevance: Values, similarity: Values, k: int, balance: float) -> list[int]:
    """Return the positions of at most `k` of n candidates, by maximal marginal relevance.

    The next one is that with the highest balance * relevance - (1 - balance) * similarity to the
    most similar one chosen before; the first is the most relevant (Carbonell and Goldstein 1998,
    "The Use of MMR, Diversity-Based Reranking for Reordering Documents and Producing Summaries").
    `relevance` is (n,), `similarity` (n, n), `balance` the paper's lambda. Ties are in the given
    order.
    """
    if not len(relevance):
        return []
    chosen = [int(np.argmax(relevance))]
    nearest = similarity[chosen[0]].astype(np.float64)
    left = np.ones(len(relevance), np.bool_)
    left[chosen[0]] = False
    while len(chosen) < k and left.any():
        marginal = np.where(left, balance * relevance - (1 - balance) * nearest, -np.inf)
        chosen.append(int(np.argmax(marginal)))
        left[chosen[-1]] = False
        nearest = np.maximum(nearest, similarity[chosen[-1]])
    return chosen


def _scaled(scores: Values) -> Values:
    width = np.ptp(scores) if len(scores) else 0.0
    return (scores - scores.min()) / width if width > 0 else np.ones(len(scores))
