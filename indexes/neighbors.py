"""Nearest neighbors of queries: keys and scores, best first, ties by key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from indexes.errors import InputError, MismatchError, short_repr

Keys = NDArray[np.int64]
Matrix = NDArray[np.float32]

NO_KEY = -1
INFINITY = float("inf")

# How a query and a passage are compared; a higher score is better. The cosine of two vectors is the
# inner product of unit vectors; `dot` is the inner product of vectors as they are, and `euclidean`
# their distance, negated as in sentence-transformers.
COSINE, DOT, EUCLIDEAN = SIMILARITIES = ("cosine", "dot", "euclidean")
# Longest vector that is compared as it is: squares and products of such fit single precision.
LONGEST = 2.0**60


@dataclass(frozen=True)
class Neighbors:
    """The nearest passages of n queries, best first; equal scores are ordered by key.

    `keys` and `scores` are (n, k). A query with fewer neighbors is padded at the end with key -1
    and score -inf.
    """

    keys: Keys
    scores: Matrix

    def lists(self) -> Iterator[tuple[list[int], list[float]]]:
        """Yield the keys and the scores of each query as plain numbers, without the padding."""
        # All are converted at once, which is faster than row by row.
        for keys, scores in zip(self.keys.tolist(), self.scores.tolist(), strict=True):
            found = keys.index(NO_KEY) if NO_KEY in keys else len(keys)
            yield keys[:found], scores[:found]


def nothing(queries: int, k: int = 0) -> Neighbors:
    """Return no neighbors for a number of queries: padding only, (queries, k), to be filled."""
    return Neighbors(np.full((queries, k), NO_KEY), np.full((queries, k), -np.inf, np.float32))


def is_among(some: Keys, keys: Keys) -> NDArray[np.bool_]:
    """Return which of some keys (any shape) are in `keys`, which ascend."""
    if not len(keys):
        return np.zeros(some.shape, np.bool_)
    among: NDArray[np.bool_] = keys.take(keys.searchsorted(some), mode="clip") == some
    return among


def best(keys: Keys, scores: Matrix, k: int) -> Neighbors:
    """Return the `k` best columns of each row, in order; columns with key -1 come last."""
    scores = np.where(keys == NO_KEY, -np.inf, scores).astype(np.float32, copy=False)
    order = np.lexsort((keys, -scores), axis=-1)[:, :k]
    return Neighbors(
        np.take_along_axis(keys, order, axis=1), np.take_along_axis(scores, order, axis=1)
    )


def merge(parts: Sequence[Neighbors], k: int) -> Neighbors:
    """Return the `k` best of several results for the same queries, which share no key."""
    if len(parts) == 1 and parts[0].keys.shape[1] <= k:
        return parts[0]
    return best(
        np.concatenate([part.keys for part in parts], axis=1),
        np.concatenate([part.scores for part in parts], axis=1),
        k,
    )


def normalize_queries(queries: ArrayLike, dim: int, similarity: str = COSINE) -> Matrix:
    """Return queries as a contiguous float32 matrix (n, dim), for the cosine of unit rows.

    Zero rows stay zero. For another similarity, rows stay as they are.

    Raises:
        InputError: not a matrix, or a value that is not finite (FAISS returns nothing or arbitrary
            rows for such a query), or a row longer than `LONGEST` that would stay so.
        MismatchError: of another width.
    """
    matrix = np.ascontiguousarray(queries, dtype=np.float32)
    if matrix.ndim != 2:
        raise InputError(
            f"Queries have the shape {matrix.shape}; expected (number of queries, {dim})."
        )
    if matrix.shape[1] != dim:
        raise MismatchError(
            f"Queries are {matrix.shape[1]} wide; the index holds vectors that are {dim} wide. "
            "Encode the queries with the embedder that made the index."
        )
    lengths = lengths_of(matrix)
    if similarity == COSINE and len(lengths) == 1 and 0.0 < lengths.item() < INFINITY:
        return np.asarray(matrix / lengths, np.float32)  # the same for one query, faster
    if not np.isfinite(lengths.sum()):
        row = int(np.flatnonzero(~np.isfinite(lengths))[0])
        raise InputError(f"Query vector {row} holds a value that is not finite.")
    if similarity != COSINE:
        if (lengths > LONGEST).any():
            row = int(lengths.argmax())
            raise InputError(
                f"Query vector {row} has the length {lengths[row]:.2g}; expected at most "
                f"{LONGEST:.2g} for the similarity '{similarity}'."
            )
        return matrix
    if not lengths.all():
        lengths[lengths == 0] = 1.0
    return np.asarray(matrix / lengths[:, None], np.float32)


def lengths_of(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the Euclidean length of each row (n, dim)."""
    # Squares of single-precision numbers cannot overflow double precision.
    squares: NDArray[np.float64] = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
    return np.sqrt(squares)


def validate_k(k: int, name: str = "k") -> int:
    """Return `k` as an int; raise an InputError if it is not a whole number of at least 1."""
    if type(k) is int and k >= 1:  # the usual case, checked at every entry point
        return k
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise InputError(f"{name} is {short_repr(k)}; expected a whole number of at least 1.")
    return int(k)
