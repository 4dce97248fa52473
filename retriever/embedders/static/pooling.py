"""From the vectors of words to the vector of a text.

Every sum here is taken in one order, that of the words in their text, by one kernel: so a text has
the same vector to the last bit, whatever other texts it is encoded with.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from retriever.embedders.base import Matrix
from retriever.embedders.static.components import ComponentRemoval

Floats = NDArray[np.float64]

# Additions below which a second thread costs more than it saves (measured: some 4 ms of work).
WORK_OF_A_THREAD = 1 << 23

# What is left of a vector, relative to what it was, where nothing should be: single precision.
RELATIVE_ZERO = 1e-6


def sums(
    rows: NDArray[np.int32], offsets: NDArray[Any], weights: Matrix | None, table: Matrix
) -> Matrix:
    """The weighted sum of the vectors of each text's words, (texts, dim) float32.

    `rows` are places in `table`; those of text `i` are `rows[offsets[i]:offsets[i + 1]]`, and as
    many `weights` go with them (None: 1 each). A word counts as often as it occurs. A text without
    a word gets zeros.
    """
    if weights is None:
        weights = np.ones(len(rows), np.float32)
    result = np.zeros((len(offsets) - 1, table.shape[1]), np.float32)
    parts = _parts(offsets, len(rows) * table.shape[1])
    if len(parts) == 1:
        _multiply(offsets.astype(np.int32, copy=False), rows, weights, table, result)
        return result

    def add(part: slice) -> None:
        bounds = offsets[part.start : part.stop + 1]
        words = slice(int(bounds[0]), int(bounds[-1]))
        local = (bounds - bounds[0]).astype(np.int32)
        _multiply(local, rows[words], weights[words], table, result[part])

    # The kernel lets other threads run meanwhile. A text is never divided.
    with ThreadPoolExecutor(len(parts)) as pool:
        list(pool.map(add, parts))
    return result


def per_dimension(
    sums_of_texts: Matrix, rows: NDArray[np.int32], offsets: NDArray[Any], table: Matrix
) -> Matrix:
    """Each text's sum, divided in every dimension by the length of its words' values there.

    So uSIF's own implementation treats the vectors of a text's words before it weighs them: as if
    each column of the matrix of these vectors were scaled to length 1. Zeros stay zeros.
    """
    lengths = np.sqrt(sums(rows, offsets, None, table * table))
    lengths[lengths == 0] = 1.0
    return np.asarray(sums_of_texts / lengths, np.float32)


def changed_words(table: Matrix, common: ComponentRemoval | None, *, unit: bool) -> Matrix:
    """The vectors of words without what all words have in common, and, with `unit`, of length 1.

    A vector that is nothing else becomes zeros.
    """
    if common is None and not unit:
        return table
    vectors, noise = without(table, np.ones(len(table)), common)
    if unit:
        return length_one(vectors, noise)
    vectors[_lengths(vectors) <= noise] = 0.0
    return vectors.astype(np.float32)


def without(
    sums_of_texts: Matrix, totals: Floats, common: ComponentRemoval | None
) -> tuple[Floats, Floats | float]:
    """The sums without what they have in common, (texts, dim) float64; and the length of noise.

    `totals` (texts,) are the sums of the weights (see `totals_of`); nothing looks at them where no
    mean is taken away. A row that is no longer than its noise is what rounding left of nothing.
    """
    vectors = sums_of_texts.astype(np.float64)
    if common is None:
        return vectors, 0.0
    before = _lengths(vectors)
    parts = _product(vectors, common.left)
    if common.has_mean:
        before += np.abs(totals) * common.mean_length
        parts = np.concatenate([parts, totals[:, None]], axis=1)
    vectors -= _product(parts, common.right)
    return vectors, RELATIVE_ZERO * before


def totals_of(offsets: NDArray[Any], weights: Matrix | None) -> Floats:
    """The sum of the weights of each text's words (None: 1 each), (texts,) float64."""
    if weights is None:
        return np.diff(offsets).astype(np.float64)
    result = np.zeros((len(offsets) - 1, 1))
    columns = np.zeros(len(weights), np.int32)
    starts = offsets.astype(np.int32, copy=False)
    _multiply(starts, columns, weights.astype(np.float64), np.ones((1, 1)), result)
    return result[:, 0]


def length_one(vectors: Floats, noise: Floats | float = 0.0) -> Matrix:
    """The rows scaled to length 1, float32; those no longer than their `noise` become zeros.

    In double precision, so that very small and very large rows keep their direction.
    """
    lengths = _lengths(vectors)
    lengths[lengths <= noise] = np.inf
    return (vectors / lengths[:, None]).astype(np.float32)


def _lengths(vectors: Floats) -> Floats:
    return cast("Floats", np.sqrt(np.add.reduce(vectors * vectors, axis=1)))


def _product(left: Floats, right: Floats) -> Floats:
    """The matrix product, each row of it the same whatever the other rows are (BLAS's are not)."""
    result = np.zeros((len(left), right.shape[1]))
    if not right.size:
        return result
    offsets, columns = _dense(*left.shape) if len(left) < 64 else _every_column(*left.shape)
    _multiply(offsets, columns, left.reshape(-1), right, result)
    return result


@lru_cache(maxsize=256)
def _dense(rows: int, width: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """`_every_column`, kept for the few rows of a query."""
    return _every_column(rows, width)


def _every_column(rows: int, width: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The offsets and columns of a matrix without zeros, as a sparse one has them."""
    columns = np.tile(np.arange(width, dtype=np.int32), rows)
    return np.arange(0, rows * width + 1, width, dtype=np.int32), columns


def _multiply(
    offsets: NDArray[np.int32],
    columns: NDArray[np.int32],
    values: NDArray[Any],
    table: NDArray[Any],
    result: NDArray[Any],
) -> None:
    """Adds to each row of `result` the rows of `table` in `columns`, times `values`, in order.

    What scipy does for a sparse matrix times a dense one, without the object around it, which would
    cost a single query more than all the rest. All floats are of one type and contiguous.
    """
    height, width = table.shape
    flat, sums_of_rows = table.reshape(-1), result.reshape(-1)
    _kernel()(len(offsets) - 1, height, width, offsets, columns, values, flat, sums_of_rows)


@lru_cache(maxsize=1)
def _kernel() -> Any:
    from scipy.sparse._sparsetools import csr_matvecs

    return csr_matvecs


def _parts(offsets: NDArray[Any], work: int) -> list[slice]:
    """Stretches of texts with about as many words each: one for every core that is worth it."""
    texts = len(offsets) - 1
    if work < 2 * WORK_OF_A_THREAD:
        return [slice(0, texts)]
    number = min(_cores(), work // WORK_OF_A_THREAD)
    aims = offsets[-1] * np.arange(1, number) // number
    bounds = [0, *np.searchsorted(offsets, aims).tolist(), texts]
    return [slice(a, b) for a, b in pairwise(bounds) if b > a]


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
