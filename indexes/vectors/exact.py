"""Brute-force search over memory-mapped blocks: the reference for every other index.

Scores are cosines of unit vectors. Candidates are found by matrix products in single precision,
then scored again in double precision, one row at a time: a score does not depend on which other
queries or rows were in the same product, so equal texts get equal scores and real ties.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from indexes.neighbors import Keys, Matrix, Neighbors, normalize_queries, nothing, validate_k
from indexes.vectors.blocks import Block, rows_of
from indexes.vectors.faiss_engine.kernels import inner_products, single_precision

CHUNK_ROWS = 16_384  # with as many queries as QUERY_ROWS: 16 MiB of scores at a time
QUERY_ROWS = 256
RESCORED_BYTES = 16 << 20
# Rows in a group that is represented by its best score, and the least number of groups for each
# neighbor: two of the best rows rarely fall into the same group.
GROUP_ROWS = 32
GROUPS = 4
# Largest deviation of a half-precision row from unit length: rounding of its numbers, plus its
# deviation before (`shards.UNIT_TOLERANCE`).
HALF = 2.0**-11 + 2.0**-16

LOWEST = np.finfo(np.float32).min
EPSILON = float(np.finfo(np.float32).eps)

# Of some queries' rows: the query, the key and the score of each, (pairs,).
Pairs = tuple[NDArray[np.intp], Keys, Matrix]
NO_PAIRS: Pairs = np.empty(0, np.intp), np.empty(0, np.int64), np.empty(0, np.float32)


def search(
    queries: Matrix, blocks: Sequence[Block], k: int, deleted: Keys | None = None
) -> Neighbors:
    """Return the `k` nearest rows of all blocks for each query, without `deleted` keys (ascending).

    If there are fewer than `k` rows, all are returned. A query of zeros finds nothing. Errors as in
    `normalize_queries` and `validate_k`.
    """
    k = validate_k(k)
    if not blocks:
        return nothing(len(queries))
    queries = normalize_queries(queries, blocks[0].vectors.shape[1])
    if len(queries) == 1 and len(blocks) == 1 and 0 < len(blocks[0].keys) <= CHUNK_ROWS:
        return _search_one(queries, blocks[0], min(k, len(blocks[0].keys)), deleted)
    k = min(k, sum(len(block.keys) for block in blocks))
    if not k or not len(queries):
        return nothing(len(queries))
    parts = [queries[start : start + QUERY_ROWS] for start in range(0, len(queries), QUERY_ROWS)]
    return stack([_ranked(_candidates(part, blocks, k, deleted), len(part), k) for part in parts])


def _search_one(query: Matrix, block: Block, k: int, deleted: Keys | None) -> Neighbors:
    """Return what `search` returns, in fewer steps, for the usual case: one query over few rows.

    The twin of `_candidates` and `_ranked`; `tests/indexes/vectors/test_exact.py` holds them equal.
    """
    vectors = np.asarray(block.vectors)
    rough = inner_products(query, single_precision(vectors))[0]
    if deleted is not None and len(deleted):
        rough[rows_of(deleted, block.keys)] = -np.inf
    highest = _kth_highest(rough, k)
    if highest <= 0 and not query.any():  # of zeros, no score is higher
        return nothing(1, k)
    floor = max(highest - 2 * _rounding(vectors), LOWEST)
    rows = (rough >= floor).nonzero()[0]
    scores = _cosines_of_one(query, vectors, rows)
    # Rows ascend by key, and so do ties in a stable order.
    order = (-scores).argsort(kind="stable")[:k]
    keys, scores = block.keys[rows[order]], scores[order]
    if len(order) == k:
        return Neighbors(keys[None], scores[None])
    found = nothing(1, k)
    found.keys[0, : len(order)], found.scores[0, : len(order)] = keys, scores
    return found


def _cosines_of_one(query: Matrix, vectors: NDArray[np.floating], rows: NDArray[np.intp]) -> Matrix:
    """Return `_cosines` of some rows for one query (1, dim), equal to the last bit."""
    if vectors.dtype == np.float16 or 8 * len(rows) * vectors.shape[1] > RESCORED_BYTES:
        return _cosines(query, np.zeros(len(rows), np.intp), vectors, rows)
    some = vectors.take(rows, axis=0).astype(np.float64)
    some *= query
    return np.asarray(np.add.reduce(some, axis=1), np.float32)


def rescore(queries: Matrix, keys: Keys, blocks: Sequence[Block]) -> Matrix:
    """Return the exact score of `keys` (n, m) for each of n queries; -inf for -1 or a missing key.

    Rows in half precision are not exactly of unit length; they are normalized for the cosine.
    """
    scores = np.full(keys.shape, -np.inf, np.float32)
    for block in blocks:
        at = np.minimum(np.searchsorted(block.keys, keys), len(block.keys) - 1)
        query, column = np.nonzero(block.keys[at] == keys)
        scores[query, column] = _cosines(queries, query, block.vectors, at[query, column])
    return scores


def _cosines(
    queries: Matrix, query: NDArray[np.intp], vectors: NDArray[np.floating], rows: NDArray[np.intp]
) -> Matrix:
    """Return the exact score of each pair of a query and a row of `vectors`, (pairs,)."""
    scores = np.empty(len(rows), np.float32)
    step = max(1, RESCORED_BYTES // (8 * queries.shape[1]))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        some = vectors[rows[part]].astype(np.float64)
        if vectors.dtype == np.float16:
            some /= np.sqrt(np.einsum("ij,ij->i", some, some))[:, None]
        some *= queries[query[part]]
        scores[part] = some.sum(axis=1)
    return scores


def _candidates(queries: Matrix, blocks: Sequence[Block], k: int, deleted: Keys | None) -> Pairs:
    """Return rows with exact scores, in no order: at least the `k` best of each query and ties."""
    slack = 2 * _rounding(blocks[0].vectors)
    # A query of zeros is equally far from everything; an unknown text should find nothing. Deleted
    # rows are never found.
    lowest = np.where(queries.any(axis=1), LOWEST, np.inf).astype(np.float32)
    highest = np.empty((len(queries), 0), np.float32)
    found = NO_PAIRS
    for keys, vectors in _chunks(blocks):
        rough = _products(queries, single_precision(vectors))
        if deleted is not None and len(deleted):
            rough[:, rows_of(deleted, keys)] = -np.inf
        highest = _highest(rough, k, highest)
        # A score below this cannot be among the best: neither by rounding nor by a tie.
        floor = np.maximum(highest[:, 0] - slack, lowest) if highest.shape[1] == k else lowest
        query, row = divmod(np.flatnonzero(rough >= floor[:, None]), len(keys))
        more = query, keys[row], _cosines(queries, query, vectors, row)
        found = _joined(found, more, floor)
    return found


def _chunks(blocks: Sequence[Block]) -> Iterator[tuple[Keys, NDArray[np.floating]]]:
    """Yield the keys and the vectors of all blocks, `CHUNK_ROWS` at a time."""
    for block in blocks:
        # A plain array over the mapped file: slicing it takes a third of the time.
        vectors = np.asarray(block.vectors)
        for start in range(0, len(block.keys), CHUNK_ROWS):
            part = slice(start, start + CHUNK_ROWS)
            yield block.keys[part], vectors[part]


def _rounding(vectors: NDArray[np.floating]) -> float:
    """Return the largest distance of a matrix product's score from the exact one.

    In single precision and any order of summation dim / 2 * eps for unit vectors (Higham, Accuracy
    and Stability of Numerical Algorithms, 3.1); twice that also covers lengths that are not quite 1
    and the two roundings.
    """
    rounding: float = (vectors.shape[1] + 2) * EPSILON
    return rounding + HALF if vectors.dtype == np.float16 else rounding


def _products(queries: Matrix, vectors: Matrix) -> Matrix:
    # A matrix product for one query would wake BLAS's threads. They spin for a while afterwards
    # and slow down a torch model that encodes the next query on the same cores.
    return inner_products(queries, vectors) if len(queries) == 1 else queries @ vectors.T


def _kth_highest(scores: NDArray[np.float32], k: int) -> float:
    """Return the first value of `_highest`, its twin, for the scores of one query, (rows,)."""
    size = min(GROUP_ROWS, len(scores) // (GROUPS * k))
    if size > 1:
        groups = len(scores) // size
        best_of_each = np.maximum.reduce(scores[: size * groups].reshape(size, groups))
    else:
        best_of_each = scores.copy()
    best_of_each.partition(-k)
    return float(best_of_each[-k])


def _highest(scores: Matrix, k: int, before: Matrix) -> Matrix:
    """Return scores of `k` different rows for each query, the lowest first; all if there are fewer.

    None of the `k` best is lower than the lowest of them. They are the best of each group of rows.
    `before` are the scores returned for other rows.
    """
    rows = scores.shape[1]
    size = min(GROUP_ROWS, rows // (GROUPS * k))
    if size > 1:
        # Adjacent rows, which are often similar, fall into different groups.
        groups = rows // size
        scores = scores[:, : size * groups].reshape(len(scores), size, groups).max(axis=1)
    if before.size:
        scores = np.concatenate([before, scores], axis=1)
    return np.partition(scores, -k, axis=1)[:, -k:] if scores.shape[1] >= k else scores


def _joined(first: Pairs, second: Pairs, floor: Matrix) -> Pairs:
    """Concatenate two parts, without scores below the floor of their query."""
    if not len(first[0]):
        return second
    query = np.concatenate([first[0], second[0]])
    keys = np.concatenate([first[1], second[1]])
    scores = np.concatenate([first[2], second[2]])
    kept = scores >= floor[query]
    return query[kept], keys[kept], scores[kept]


def _ranked(pairs: Pairs, queries: int, k: int) -> Neighbors:
    """Return the `k` best pairs of each query."""
    query, keys, scores = pairs
    order = np.lexsort((keys, -scores, query))
    query = query[order]
    place = np.arange(len(query)) - np.searchsorted(query, query)
    first = place < k
    order = order[first]
    if len(order) == queries * k:
        return Neighbors(keys[order].reshape(queries, k), scores[order].reshape(queries, k))
    found, cells = nothing(queries, k), (query[first], place[first])
    found.keys[cells], found.scores[cells] = keys[order], scores[order]
    return found


def stack(parts: Sequence[Neighbors]) -> Neighbors:
    """Concatenate the results of several batches of queries; all are equally wide."""
    if len(parts) == 1:
        return parts[0]
    return Neighbors(
        np.concatenate([part.keys for part in parts]),
        np.concatenate([part.scores for part in parts]),
    )
