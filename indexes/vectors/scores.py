"""Scores of vectors for queries: rough ones by matrix products, exact ones in double precision.

The score is the inner product, which for unit vectors is the cosine, or the negated distance.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from indexes.neighbors import COSINE, EUCLIDEAN, Matrix, lengths_of
from indexes.threads import threads
from indexes.vectors.blocks import Block
from indexes.vectors.faiss_engine.kernels import inner_products, single_precision

RESCORED_BYTES = 16 << 20
# Largest deviation of a half-precision row from unit length: rounding of its numbers, plus its
# deviation before (`shards.UNIT_TOLERANCE`).
HALF = 2.0**-11 + 2.0**-16
EPSILON = float(np.finfo(np.float32).eps)
TINY = float(np.finfo(np.float32).tiny)  # smaller products may become zero


def rough_scores(
    queries: Matrix, vectors: NDArray[np.floating], lengths: NDArray[np.float64] | None
) -> Matrix:
    """Return scores (n, rows) in single precision, in the order of the exact ones up to `rounding`.

    Given the `lengths` of the vectors, minus the squared distance; else the inner product.
    """
    rough = _products(queries, single_precision(vectors))
    if lengths is not None:
        rough *= 2
        rough -= np.square(lengths).astype(np.float32)
        rough -= np.square(lengths_of(queries)).astype(np.float32)[:, None]
    return rough


def rounding(queries: Matrix, blocks: Sequence[Block]) -> NDArray[np.float32]:
    """Return the largest distance of a rough score from the exact one, for each query, (n,).

    The error of an inner product, in any order of summation, is at most dim / 2 * eps times both
    lengths (Higham, Accuracy and Stability of Numerical Algorithms, 3.1); twice that also covers
    the few further roundings, and unit lengths that are not quite 1.
    """
    dim, similarity = blocks[0].vectors.shape[1], blocks[0].similarity
    if similarity == COSINE:
        return np.full(len(queries), rounding_of_cosines(blocks[0]), np.float32)
    lengths, longest = lengths_of(queries), max(block.longest for block in blocks)
    reach = (lengths + longest) ** 2 if similarity == EUCLIDEAN else lengths * longest
    underflow = dim * TINY * (1 + lengths + longest)
    return np.asarray((dim + 4) * EPSILON * reach + underflow, np.float32)


def rounding_of_cosines(block: Block) -> float:
    """Return `rounding` for the cosine, which is the same for every query."""
    dim: int = block.vectors.shape[1]
    return (dim + 2) * EPSILON + (HALF if block.vectors.dtype == np.float16 else 0.0)


def as_exact(rough: NDArray[np.float32], similarity: str) -> NDArray[np.float32]:
    """Return rough scores on the scale of exact ones; infinity stays so."""
    if similarity != EUCLIDEAN:
        return rough
    return np.where(rough > 0, rough, -np.sqrt(np.maximum(-rough, 0)))


def exact_scores(
    queries: Matrix,
    query: NDArray[np.intp],
    vectors: NDArray[np.floating],
    rows: NDArray[np.intp],
    similarity: str,
) -> Matrix:
    """Return the exact score of each pair of a query and a row of `vectors`, (pairs,).

    Half-precision rows of unit vectors are normalized again for the cosine.
    """
    scores = np.empty(len(rows), np.float32)
    step = max(1, RESCORED_BYTES // (8 * queries.shape[1]))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        some = vectors[rows[part]].astype(np.float64)
        if similarity == COSINE and vectors.dtype == np.float16:
            some /= np.sqrt(np.einsum("ij,ij->i", some, some))[:, None]
        scores[part] = _scores(some, queries[query[part]], similarity)
    return scores


def exact_scores_of_one(
    query: Matrix, vectors: NDArray[np.floating], rows: NDArray[np.intp], similarity: str
) -> Matrix:
    """Return `exact_scores` of some rows for one query (1, dim), equal to the last bit."""
    if vectors.dtype == np.float16 or 8 * len(rows) * vectors.shape[1] > RESCORED_BYTES:
        return exact_scores(query, np.zeros(len(rows), np.intp), vectors, rows, similarity)
    some = vectors.take(rows, axis=0).astype(np.float64)
    return np.asarray(_scores(some, query, similarity), np.float32)


def exact_scores_of_parts(
    query: Matrix,
    parts: Sequence[tuple[NDArray[np.floating], NDArray[np.intp]]],
    similarity: str,
) -> Matrix:
    """Return `exact_scores` of few rows of several arrays, one after the other, for one query."""
    some = np.empty((sum(len(rows) for _, rows in parts), query.shape[1]))
    stop = 0
    for vectors, rows in parts:
        start, stop = stop, stop + len(rows)
        some[start:stop] = vectors.take(rows, axis=0)
        if similarity == COSINE and vectors.dtype == np.float16:
            part = some[start:stop]
            part /= np.sqrt(np.einsum("ij,ij->i", part, part))[:, None]
    return np.asarray(_scores(some, query, similarity), np.float32)


def _scores(rows: NDArray[np.float64], queries: Matrix, similarity: str) -> NDArray[np.float64]:
    """Return the score of each row with its query, or with the only one; overwrites `rows`."""
    if similarity == EUCLIDEAN:
        rows -= queries
        rows *= rows
    else:
        rows *= queries
    sums: NDArray[np.float64] = np.add.reduce(rows, axis=1)
    # 0.0 for equal vectors, not -0.0.
    return 0.0 - np.sqrt(sums) if similarity == EUCLIDEAN else sums


def _products(queries: Matrix, vectors: Matrix) -> Matrix:
    # A matrix product for one query would wake BLAS's threads. They spin for a while afterwards
    # and slow down a torch model that encodes the next query on the same cores.
    if len(queries) == 1:
        return inner_products(queries, vectors)
    _limit_blas()
    return queries @ vectors.T


@cache
def _limit_blas() -> None:
    """Let BLAS compute with no more threads than this process may use, for good.

    It counts the cores of the machine, and not those of a container's quota. Its number is that of
    the process: to restore it while another thread multiplies would not work.
    """
    # Not for a single query, which has no use for it.
    from threadpoolctl import ThreadpoolController

    for library in ThreadpoolController().select(user_api="blas").lib_controllers:
        if library.num_threads > threads():
            library.set_num_threads(threads())
