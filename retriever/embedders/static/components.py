"""Common components of vectors: how they are found and removed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retriever.embedders.base import Matrix

Floats = NDArray[np.float64]

ROWS = 65_536
# Relative to the largest eigenvalue: smaller ones are rounding noise.
RELATIVE_ZERO = 1e-10
# Where a direction loses half by `conceptor`, as a share of the mean strength of all: see
# benchmarks/README.md.
HALF = 0.2


@dataclass(frozen=True, eq=False)
class CommonComponents:
    """A common mean (dim,) and orthonormal directions (n, dim).

    `shares` (n,) is the fraction of the projection on each direction that is removed.
    """

    mean: Floats
    directions: Floats
    shares: Floats


@dataclass(frozen=True, eq=False)
class ComponentRemoval:
    """Removal of common components as one step: v kept - (v left, t) right.

    For a sum v of word vectors with total weight t, this equals removal from each word before
    summing. `left` is (dim, n), `right` (n, dim); with a mean, `right` has it as an extra row.
    `kept` None is the identity. With many directions it is (dim, dim), and `left` is empty.
    """

    left: Floats
    right: Floats
    has_mean: bool
    mean_length: float
    kept: Floats | None = None


def removal(
    words: CommonComponents | None, texts: CommonComponents | None
) -> ComponentRemoval | None:
    """Combine the removal of word components, then of text components; None if both are empty.

    With A and B the projections on either, (v - t m)(1 - A)(1 - B) remains, and
    (1 - A)(1 - B) = 1 - left right.
    """
    given = [common for common in (words, texts) if common is not None]
    if words is None and not any(len(common.directions) for common in given):
        return None
    width = len(given[0].mean)
    remaining, lefts = np.eye(width), [np.zeros((width, 0))]
    for common in given:
        lefts.append(remaining @ (common.directions.T * common.shares))
        remaining = remaining - lefts[-1] @ common.directions
    left = np.ascontiguousarray(np.concatenate(lefts, axis=1))
    right = np.concatenate([common.directions for common in given])
    mean = np.zeros(width) if words is None else words.mean
    length = float(np.sqrt(mean @ mean))
    kept = np.ascontiguousarray(remaining) if 2 * len(right) > width else None
    if kept is not None:
        left, right = left[:, :0], right[:0]
    if length:
        right = np.concatenate([right, [mean @ remaining]])
    return ComponentRemoval(left, right, length > 0, length, kept)


def top_components(
    table: Matrix, number: int, *, rows_of_words: NDArray[np.int64] | None = None
) -> CommonComponents:
    """Return the mean of word vectors and their first `number` principal components.

    Mu and Viswanath, "All-but-the-Top", ICLR 2018: v becomes
    v - mean - sum of (u_i . (v - mean)) u_i. Uses all rows of the table, or `rows_of_words`. The
    table may be mapped and larger than memory: it is read once, in blocks, in double precision.
    """
    count, total, square = _moments(table, rows_of_words)
    mean = total / max(count, 1)
    _, directions = _leading(square - count * np.outer(mean, mean), number)
    return CommonComponents(mean, directions, np.ones(len(directions)))


def conceptor(table: Matrix, *, rows_of_words: NDArray[np.int64] | None = None) -> CommonComponents:
    """Return all directions of word vectors, each with the share that conceptor negation removes.

    Liu, Ungar and Sedoc, "Unsupervised Post-processing of Word Vectors via Conceptor Negation",
    AAAI 2019: v becomes (1 - R (R + c)^-1) v, where R is the mean of v v^T, not centered. Their c
    is absolute (1/4); here it is `HALF` times the mean eigenvalue, so that vectors of any scale
    become the same. Reads the table as `top_components` does.
    """
    count, _, square = _moments(table, rows_of_words)
    values, directions = _leading(square / max(count, 1), table.shape[1])
    half = HALF * values.sum() / table.shape[1]
    return CommonComponents(np.zeros(table.shape[1]), directions, values / (values + half))


def _moments(table: Matrix, rows_of_words: NDArray[np.int64] | None) -> tuple[int, Floats, Floats]:
    """Return the number of rows, their sum (dim,) and the sum of their outer products."""
    count = len(table) if rows_of_words is None else len(rows_of_words)
    width = table.shape[1]
    total, square = np.zeros(width), np.zeros((width, width))
    for start in range(0, count, ROWS):
        place = slice(start, start + ROWS)
        block = table[place] if rows_of_words is None else table[rows_of_words[place]]
        exact = np.asarray(block, dtype=np.float64)
        total += exact.sum(axis=0)
        square += exact.T @ exact
    return count, total, square


def common_components(
    vectors: NDArray[np.floating], number: int, *, weighted: bool
) -> CommonComponents:
    """Return the first `number` right singular vectors of the text vectors, not centered.

    Arora et al. 2017 (SIF) remove the full projection on the first; with `weighted`, as Ethayarajh
    2018 (uSIF), only its share lambda_i = sigma_i^2 / (sigma_1^2 + ... + sigma_m^2). Always fewer
    than the rank of the matrix, so that something of a text remains in a small corpus.
    """
    rows = np.asarray(vectors, np.float64)
    values, directions = _leading(rows.T @ rows, rows.shape[1])
    kept = min(number, max(len(values) - 1, 0))
    values, directions = values[:kept], directions[:kept]
    shares = values / values.sum() if weighted and kept else np.ones(kept)
    return CommonComponents(np.zeros(rows.shape[1]), directions, shares)


def _leading(symmetric: Floats, number: int) -> tuple[Floats, Floats]:
    """Return up to `number` nonzero eigenvalues, in descending order, and their eigenvectors.

    Signs are fixed so that the largest entry of each vector is positive.
    """
    values, vectors = np.linalg.eigh(symmetric)
    values, vectors = values[::-1][:number], vectors.T[::-1][:number]
    kept = values > RELATIVE_ZERO * max(float(values[0]), 0.0) if len(values) else values > 0
    values, vectors = values[kept], vectors[kept]
    largest = np.abs(vectors).argmax(axis=1, keepdims=True)
    signs = np.sign(np.take_along_axis(vectors, largest, axis=1))
    return values, np.ascontiguousarray(vectors * signs)
