"""Brute force over memory-mapped blocks: what every other index is measured against.

Scores are cosines of unit vectors. Candidates are found by matrix products in single precision,
then scored again in double precision, one row at a time: a score does not depend on which other
queries or rows were in the same product, so equal texts get equal scores and ties are really ties.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from indexes.ann import inner_products, single_precision
from indexes.blocks import Block, rows_of
from indexes.neighbours import (
    NO_KEY,
    Keys,
    Matrix,
    Neighbours,
    best,
    checked_k,
    checked_queries,
    nothing,
)

__all__ = ["QUERY_ROWS", "rescore", "search", "stack"]

CHUNK_ROWS = 16_384  # with as many queries as QUERY_ROWS: 16 MiB of scores at a time
QUERY_ROWS = 256
SLACK = 16
RESCORED_BYTES = 16 << 20
# Relative error of one half-precision number.
HALF = 2.0**-11


def search(
    queries: Matrix, blocks: Sequence[Block], k: int, dead: Keys | None = None
) -> Neighbours:
    """The `k` nearest rows of all blocks for each query, without the keys in `dead` (ascending).

    Fewer than `k` rows give all of them. A query of zeros finds nothing.

    Raises:
        InputError, MismatchError: see `checked_queries` and `checked_k`.
    """
    k = checked_k(k)
    if not blocks:
        return nothing(len(queries))
    queries = checked_queries(queries, blocks[0].vectors.shape[1])
    rows = sum(len(block.keys) for block in blocks)
    if not rows:
        return nothing(len(queries))
    k = min(k, rows)
    parts = [
        _search_some(queries[start : start + QUERY_ROWS], blocks, k, dead, k + SLACK)
        for start in range(0, len(queries), QUERY_ROWS)
    ]
    return _without_zero_queries(stack(parts), queries) if parts else nothing(0)


def rescore(queries: Matrix, keys: Keys, blocks: Sequence[Block]) -> Matrix:
    """The exact score of `keys` (n, m) for each of n queries; -inf for key -1 or a key not here.

    Rows in half precision are not of unit length any more; their cosine is taken all the same.
    """
    scores = np.full(keys.shape, -np.inf, np.float32)
    for block in blocks:
        at = np.minimum(np.searchsorted(block.keys, keys), len(block.keys) - 1)
        query, column = np.nonzero(block.keys[at] == keys)
        rows = at[query, column]
        step = max(1, RESCORED_BYTES // (8 * queries.shape[1]))
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            vectors = block.vectors[rows[part]].astype(np.float64)
            if block.vectors.dtype == np.float16:
                vectors /= np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
            vectors *= queries[query[part]]
            scores[query[part], column[part]] = vectors.sum(axis=1)
    return scores


def _search_some(
    queries: Matrix, blocks: Sequence[Block], k: int, dead: Keys | None, wanted: int
) -> Neighbours:
    """The `k` best of each query, from at least the `wanted` best by single precision."""
    keys, rough = _candidates(queries, blocks, wanted, dead)
    rounding = 4 * np.sqrt(queries.shape[1]) * np.finfo(np.float32).eps
    if blocks[0].vectors.dtype == np.float16:
        rounding += HALF
    # What lies below this cannot belong to the best: not by rounding, and not by a tie.
    bound = np.partition(rough, -k, axis=1)[:, -k] - 2 * rounding
    keys = np.where(rough >= bound[:, None], keys, NO_KEY)
    found = best(keys, rescore(queries, keys, blocks), k)
    unsettled = (rough.min(axis=1) >= bound) & np.isfinite(bound) & queries.any(axis=1)
    if wanted < sum(len(block.keys) for block in blocks) and unsettled.any():
        wider = _search_some(queries[unsettled], blocks, k, dead, 4 * wanted)
        found.keys[unsettled], found.scores[unsettled] = wider.keys, wider.scores
    return found


def _candidates(
    queries: Matrix, blocks: Sequence[Block], wanted: int, dead: Keys | None
) -> tuple[Keys, Matrix]:
    """At least the `wanted` best keys of each query by single-precision scores, in no order."""
    best_so_far: tuple[Keys, Matrix] | None = None
    for block in blocks:
        for start in range(0, len(block.keys), CHUNK_ROWS):
            part = block.keys[start : start + CHUNK_ROWS]
            vectors = single_precision(block.vectors[start : start + CHUNK_ROWS])
            scores = _products(queries, vectors)
            if dead is not None and len(dead):
                scores[:, rows_of(dead, part)] = -np.inf
            columns = _top(scores, wanted)
            found = part[columns], np.take_along_axis(scores, columns, axis=1)
            best_so_far = found if best_so_far is None else _better(best_so_far, found, wanted)
    if best_so_far is None:
        return np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32)
    keys, scores = best_so_far
    return np.where(np.isneginf(scores), NO_KEY, keys), scores


def _products(queries: Matrix, vectors: Matrix) -> Matrix:
    # A matrix product for one query would wake BLAS's threads. They spin for a while afterwards,
    # and hold up a torch model that encodes the next query on the same cores.
    return inner_products(queries, vectors) if len(queries) == 1 else queries @ vectors.T


def _better(
    first: tuple[Keys, Matrix], second: tuple[Keys, Matrix], wanted: int
) -> tuple[Keys, Matrix]:
    keys = np.concatenate([first[0], second[0]], axis=1)
    scores = np.concatenate([first[1], second[1]], axis=1)
    columns = _top(scores, wanted)
    return np.take_along_axis(keys, columns, axis=1), np.take_along_axis(scores, columns, axis=1)


def _top(scores: Matrix, wanted: int) -> NDArray[np.intp]:
    """The columns of the `wanted` highest scores of each row, in no order."""
    if scores.shape[1] <= wanted:
        return np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
    return np.argpartition(scores, -wanted, axis=1)[:, -wanted:]


def _without_zero_queries(found: Neighbours, queries: Matrix) -> Neighbours:
    # A query of zeros is equally far from everything; an unknown text should find nothing.
    empty = ~queries.any(axis=1)
    if not empty.any():
        return found
    keys, scores = found.keys.copy(), found.scores.copy()
    keys[empty], scores[empty] = NO_KEY, -np.inf
    return Neighbours(keys, scores)


def stack(parts: Sequence[Neighbours]) -> Neighbours:
    """The answers to several batches of queries, as one; all are equally wide."""
    if len(parts) == 1:
        return parts[0]
    return Neighbours(
        np.concatenate([part.keys for part in parts]),
        np.concatenate([part.scores for part in parts]),
    )
