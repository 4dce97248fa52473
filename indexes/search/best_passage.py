"""Documents ranked by their best passage."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from indexes.neighbors import NO_KEY, Keys, Matrix, Neighbors, best, nothing

FIRST_FACTOR, NEXT_FACTOR = 3, 4


def best_passages(
    search: Callable[[NDArray[np.intp], int], Neighbors],
    owners: Callable[[Keys], Keys],
    queries: int,
    k: int,
    rows: int,
) -> Neighbors:
    """Return the best passage of each of the `k` best documents, for each query.

    `search` gives the nearest passages of the queries at some positions, until `k` documents are
    found, or all `rows` passages; `owners` the document of each key (-1 for key -1).
    """
    k = min(k, max(rows, 1))
    out = nothing(queries, k)
    waiting = np.arange(queries)
    wanted = min(FIRST_FACTOR * k, rows)
    while len(waiting) and wanted:
        found = search(waiting, wanted)
        first = _first_of_each(owners(found.keys))
        ranked = best(np.where(first, found.keys, NO_KEY), found.scores, k)
        width = ranked.keys.shape[1]
        out.keys[waiting, :width], out.scores[waiting, :width] = ranked.keys, ranked.scores
        # A query of zeros finds fewer than wanted, and would not find more.
        short = (first.sum(axis=1) < k) & ((found.keys != NO_KEY).sum(axis=1) >= wanted)
        waiting = waiting[short] if wanted < rows else waiting[:0]
        wanted = min(NEXT_FACTOR * wanted, rows)
    return out


def best_scores(
    score: Callable[[Keys], Matrix], passages: tuple[Keys, Keys], documents: Keys
) -> Neighbors:
    """Return the best passage of each document (n, m) and its score; -1 for no document.

    `passages` are the keys of all passages of those documents, ascending, and the document of each;
    `score` returns the scores of keys (n, p). Documents without a score get -inf.
    """
    keys, owners = passages
    order = np.argsort(owners, kind="stable")
    keys, owners = keys[order], owners[order]
    start = np.searchsorted(owners, documents, side="left").ravel()
    counts = np.searchsorted(owners, documents, side="right").ravel() - start
    # A cell is a document of a query; its passages are adjacent.
    cells = np.repeat(np.arange(documents.size), counts)
    within = np.arange(len(cells)) - np.repeat(counts.cumsum() - counts, counts)
    candidates = keys[np.repeat(start, counts) + within]
    scores = _ragged_scores(score, cells // max(documents.shape[1], 1), candidates, len(documents))
    best_first = np.lexsort((candidates, -scores, cells))
    filled, first = np.unique(cells[best_first], return_index=True)
    out = nothing(*documents.shape)
    out.keys.flat[filled] = candidates[best_first][first]
    out.scores.flat[filled] = scores[best_first][first]
    return out


def _ragged_scores(
    score: Callable[[Keys], Matrix], rows: NDArray[np.intp], keys: Keys, queries: int
) -> Matrix:
    """Return the score of each key for the query of its row; rows ascend and differ in size."""
    sizes = np.bincount(rows, minlength=queries)
    place = np.arange(len(rows)) - np.repeat(sizes.cumsum() - sizes, sizes)
    padded = np.full((queries, int(sizes.max(initial=0))), NO_KEY)
    padded[rows, place] = keys
    return score(padded)[rows, place]


def _first_of_each(owners: Keys) -> NDArray[np.bool_]:
    """Return where each owner occurs first in its row; never for owner -1."""
    order = np.argsort(owners, axis=1, kind="stable")
    ordered = np.take_along_axis(owners, order, axis=1)
    fresh = np.ones(owners.shape, np.bool_)
    fresh[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    first = np.empty(owners.shape, np.bool_)
    np.put_along_axis(first, order, fresh, axis=1)
    first &= owners != NO_KEY
    return first
