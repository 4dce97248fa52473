"""Sums of word vectors, and their scaling to text vectors.

All sums run in the order of the words in their text, in one kernel, so that a text has the same
vector to the last bit in any batch.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from indexes.threads import threads
from retriever.embedders.base import Matrix
from retriever.embedders.static.components import ComponentRemoval

Floats = NDArray[np.float64]

# Additions below which a second thread costs more than it saves (measured: some 4 ms of work).
WORK_OF_A_THREAD = 1 << 23
# Relative length of what rounding leaves of a zero vector: single precision.
RELATIVE_ZERO = 1e-6
# Weights of the words of a short text.
_ONES: Matrix = np.ones(256, np.float32)


def sums(
    rows: NDArray[np.int32], offsets: NDArray[Any], weights: Matrix | None, table: Matrix
) -> Matrix:
    """Return the weighted sum of each text's word vectors, (texts, dim) float32.

    `rows` are positions in `table`; those of text `i` are `rows[offsets[i]:offsets[i + 1]]`, with
    one weight each (None: 1). A repeated word counts each time. A text without words gets zeros.
    """
    if weights is None:
        weights = _ONES[: len(rows)] if len(rows) <= len(_ONES) else np.ones(len(rows), np.float32)
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

    # The kernel releases the GIL. A text is never divided.
    with ThreadPoolExecutor(len(parts)) as pool:
        list(pool.map(add, parts))
    return result


def per_dimension(
    sums_of_texts: Matrix, rows: NDArray[np.int32], offsets: NDArray[Any], table: Matrix
) -> Matrix:
    """Divide each text's sum, per dimension, by the norm of its words' values there.

    uSIF's reference implementation scales each column of the matrix of a text's word vectors to
    length 1 before weighting. Zeros stay zeros.
    """
    lengths = np.sqrt(sums(rows, offsets, None, table * table))
    lengths[lengths == 0] = 1.0
    return np.asarray(sums_of_texts / lengths, np.float32)


def transform_words(table: Matrix, common: ComponentRemoval | None, *, unit: bool) -> Matrix:
    """Remove common components from word vectors, and scale them to length 1 if `unit`.

    A vector that has nothing else becomes zeros.
    """
    if common is None and not unit:
        return table
    vectors, noise = without(table, np.ones(len(table)), common)
    if unit:
        return normalize_rows(vectors, noise)
    vectors[_lengths(vectors) <= noise] = 0.0
    return vectors.astype(np.float32)


def without(
    sums_of_texts: Matrix, totals: Floats, common: ComponentRemoval | None
) -> tuple[Floats, Floats | float]:
    """Remove common components from sums; return (texts, dim) float64, and each row's noise level.

    `totals` (texts,) are the sums of weights (see `weight_totals`), used only to remove a mean. A
    row no longer than its noise level is rounding noise.
    """
    vectors = sums_of_texts.astype(np.float64)
    if common is None:
        return vectors, 0.0
    before = _lengths(vectors)
    parts = _product(vectors, common.left)
    if common.has_mean:
        before += np.abs(totals) * common.mean_length
        parts = np.concatenate([parts, totals[:, None]], axis=1)
    if common.kept is not None:
        vectors = _product(vectors, common.kept)
    vectors -= _product(parts, common.right)
    return vectors, RELATIVE_ZERO * before


def weight_totals(offsets: NDArray[Any], weights: Matrix | None) -> Floats:
    """Return the total weight of each text's words (None: 1 each), (texts,) float64."""
    if weights is None:
        return np.diff(offsets).astype(np.float64)
    result = np.zeros((len(offsets) - 1, 1))
    columns = np.zeros(len(weights), np.int32)
    starts = offsets.astype(np.int32, copy=False)
    _multiply(starts, columns, weights.astype(np.float64), np.ones((1, 1)), result)
    return result[:, 0]


def normalize_rows(vectors: Floats, noise: Floats | float = 0.0) -> Matrix:
    """Scale rows to length 1, float32; those no longer than their `noise` become zeros.

    Computed in double precision, so that very small and very large rows keep their direction.
    """
    lengths = _lengths(vectors)
    if len(vectors) == 1:  # a mask costs a query a tenth of its time
        length = lengths.item()
        return (vectors / (np.inf if length <= noise else length)).astype(np.float32)
    lengths[lengths <= noise] = np.inf
    return (vectors / lengths[:, None]).astype(np.float32)


def _lengths(vectors: Floats) -> Floats:
    return cast("Floats", np.sqrt(np.add.reduce(vectors * vectors, axis=1)))


def _product(left: Floats, right: Floats) -> Floats:
    """Return the matrix product; unlike BLAS, each row is independent of the others."""
    result = np.zeros((len(left), right.shape[1]))
    if not right.size:
        return result
    indices = _cached_every_column if len(left) < 64 else _every_column
    offsets, columns = indices(*left.shape)
    _multiply(offsets, columns, left.reshape(-1), right, result)
    return result


def _every_column(rows: int, width: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the CSR offsets and columns of a dense matrix."""
    columns = np.tile(np.arange(width, dtype=np.int32), rows)
    return np.arange(0, rows * width + 1, width, dtype=np.int32), columns


# For the few rows of a query.
_cached_every_column = lru_cache(maxsize=256)(_every_column)


def _multiply(
    offsets: NDArray[np.int32],
    columns: NDArray[np.int32],
    values: NDArray[Any],
    table: NDArray[Any],
    result: NDArray[Any],
) -> None:
    """Add to each row of `result` the rows of `table` in `columns`, times `values`, in order.

    Calls scipy's sparse-dense product directly: creating a sparse matrix would cost a single query
    more than all the rest. All floats are contiguous and of one type.
    """
    height, width = table.shape
    flat, sums_of_rows = table.reshape(-1), result.reshape(-1)
    _kernel()(len(offsets) - 1, height, width, offsets, columns, values, flat, sums_of_rows)


@lru_cache(maxsize=1)
def _kernel() -> Any:
    from scipy.sparse._sparsetools import csr_matvecs

    return csr_matvecs


def _parts(offsets: NDArray[Any], work: int) -> list[slice]:
    """Split texts into slices with about equal numbers of words, one for each useful core."""
    texts = len(offsets) - 1
    if work < 2 * WORK_OF_A_THREAD:
        return [slice(0, texts)]
    number = min(threads(), work // WORK_OF_A_THREAD)
    aims = offsets[-1] * np.arange(1, number) // number
    bounds = [0, *np.searchsorted(offsets, aims).tolist(), texts]
    return [slice(a, b) for a, b in pairwise(bounds) if b > a]
