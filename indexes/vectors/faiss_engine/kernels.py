"""Kernels of FAISS that brute force uses. No index code: `exact` judges the indexes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import faiss
import numpy as np
from numpy.typing import NDArray

from indexes.neighbors import Matrix
from indexes.storage.forking import in_child
from indexes.threads import sharing

# Half-precision vectors that are decoded at once.
DECODED_BYTES = 16 << 20
_forked = False


def survive_forks() -> None:
    """Let FAISS compute with one thread in forked children; with more, it would wait forever."""
    in_child("faiss", _use_one_thread)


def _use_one_thread() -> None:
    global _forked
    _forked = True
    faiss.omp_set_num_threads(1)


@contextmanager
def computing(queries: int = 0) -> Iterator[None]:
    """Let FAISS compute with one thread for one query, else with this caller's share of the cores.

    FAISS keeps the number for each thread of the caller; it is restored afterwards.
    """
    if _forked:
        yield
        return
    before = faiss.omp_get_max_threads()
    try:
        if queries == 1:
            faiss.omp_set_num_threads(1)
            yield
        else:
            with sharing() as count:
                faiss.omp_set_num_threads(count)
                yield
    finally:
        faiss.omp_set_num_threads(before)


def inner_products(query: Matrix, vectors: Matrix) -> Matrix:
    """Return the inner products of one query (1, dim) with some rows (rows, dim), (1, rows).

    On one thread, in single precision, at about memory bandwidth.
    """
    rows, dim = vectors.shape
    products = np.empty((1, rows), np.float32)
    faiss.fvec_inner_products_ny(
        faiss.swig_ptr(products), faiss.swig_ptr(query), faiss.swig_ptr(vectors), dim, rows
    )
    return products


def nearest(query: Matrix, vectors: Matrix, k: int) -> tuple[Matrix, NDArray[np.int64]]:
    """Return the `k` highest of `inner_products`, (k,), the highest first, and their rows.

    There are at least `k` rows. It takes no longer than the inner products alone.
    """
    rows, dim = vectors.shape
    products, places = np.empty(k, np.float32), np.empty(k, np.int64)
    pointers = map(faiss.swig_ptr, (query, vectors))
    found = map(faiss.swig_ptr, (products, places))
    faiss.knn_inner_product(*pointers, dim, 1, rows, k, *found)
    return products, places


def scores_by_row(
    queries: Matrix, vectors: NDArray[np.floating], rows: NDArray[np.int64], is_distance: bool
) -> Matrix:
    """Return the score of each query (n, dim) for its own rows (n, m) of `vectors`, (n, m).

    In single precision: inner products, or squared distances, negated. -inf for row -1.
    """
    if vectors.dtype == np.float16:
        step = max(1, DECODED_BYTES // (4 * max(1, rows.shape[1]) * queries.shape[1]))
        parts = [slice(start, start + step) for start in range(0, len(queries), step)]
        some = (_decoded(vectors, rows[part]) for part in parts)
        scored = [
            scores_by_row(queries[part], *one, is_distance)
            for part, one in zip(parts, some, strict=True)
        ]
        return np.concatenate(scored)
    vectors = single_precision(vectors)
    scores = np.empty(rows.shape, np.float32)
    kernel = faiss.fvec_L2sqr_by_idx if is_distance else faiss.fvec_inner_products_by_idx
    arrays = (scores, queries, vectors, np.ascontiguousarray(rows))
    kernel(*map(faiss.swig_ptr, arrays), queries.shape[1], *rows.shape)
    return np.negative(scores, out=scores) if is_distance else scores


def _decoded(
    vectors: NDArray[np.floating], rows: NDArray[np.int64]
) -> tuple[Matrix, NDArray[np.int64]]:
    """Return the vectors at some rows in single precision, and the rows that they are at there."""
    here = rows >= 0
    at = np.full_like(rows, -1)
    at[here] = np.arange(np.count_nonzero(here))
    return single_precision(vectors[rows[here]]), at


def single_precision(rows: NDArray[np.floating]) -> Matrix:
    """Return rows (n, dim) as a contiguous float32 matrix; the same array if it already is one."""
    if rows.dtype != np.float16:
        return np.ascontiguousarray(rows, np.float32)
    # Twice as fast as NumPy's cast.
    codec = faiss.ScalarQuantizer(rows.shape[1], faiss.ScalarQuantizer.QT_fp16)
    single: Matrix = codec.decode(np.ascontiguousarray(rows).view(np.uint8))
    return single
