"""Documents ranked by their best passage."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from indexes.neighbours import NO_KEY, Keys, Matrix, Neighbours, best

__all__ = ["best_passages"]

FIRST_FACTOR, NEXT_FACTOR = 3, 4


def best_passages(
    search: Callable[[Matrix, int], Neighbours],
    owners: Callable[[Keys], Keys],
    queries: Matrix,
    k: int,
    rows: int,
) -> Neighbours:
    """The best passage of each of the `k` best documents, for each query.

    `search` gives the nearest passages of some queries, `owners` the document of each key (-1 for
    key -1). It is asked for more until `k` documents are among them, or all `rows` passages.
    """
    k = min(k, max(rows, 1))
    keys = np.full((len(queries), k), NO_KEY)
    scores = np.full((len(queries), k), -np.inf, np.float32)
    waiting = np.arange(len(queries))
    wanted = min(FIRST_FACTOR * k, rows)
    while len(waiting) and wanted:
        found = search(queries[waiting], wanted)
        first = _first_of_each(owners(found.keys))
        ranked = best(np.where(first, found.keys, NO_KEY), found.scores, k)
        width = ranked.keys.shape[1]
        keys[waiting, :width], scores[waiting, :width] = ranked.keys, ranked.scores
        # A query of zeros finds less than it asks for, and would not find more.
        short = (first.sum(axis=1) < k) & ((found.keys != NO_KEY).sum(axis=1) >= wanted)
        waiting = waiting[short] if wanted < rows else waiting[:0]
        wanted = min(NEXT_FACTOR * wanted, rows)
    return Neighbours(keys, scores)


def _first_of_each(owners: Keys) -> NDArray[np.bool_]:
    """Where in each row an owner stands for the first time; never for owner -1."""
    order = np.argsort(owners, axis=1, kind="stable")
    ordered = np.take_along_axis(owners, order, axis=1)
    fresh = np.ones(owners.shape, np.bool_)
    fresh[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    first = np.empty(owners.shape, np.bool_)
    np.put_along_axis(first, order, fresh, axis=1)
    first &= owners != NO_KEY
    return first
