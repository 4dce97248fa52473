"""Sparse vectors as an inverted file: for each term the rows that have it, with their weights.

A file holds the mark, four numbers and four arrays, one after the other, little-endian, each
aligned to its numbers: it is memory-mapped, and a search reads the postings of its terms only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from indexes.errors import DamageError, InputError
from indexes.neighbors import COSINE, LONGEST, Keys, Matrix, Neighbors, nothing
from indexes.storage.files import FileDigest, new_file
from indexes.vectors.blocks import NO_ROW, Block, rows_of

MARK = b"POSTINGS"
NUMBER, PLACE, WEIGHT = np.dtype("<i8"), np.dtype("<i4"), np.dtype("<f4")
NUMBERS = 4
Rows = NDArray[np.int32]


@dataclass(frozen=True)
class Postings:
    """Sparse rows of the width `shape[1]`, by column.

    `terms` are the columns that any row has, ascending. The postings of number i are those from
    `starts[i]` to before `starts[i + 1]`: `rows`, ascending, and their `values`. As an array, they
    are the dense rows; a selection of rows is `Postings` again.
    """

    shape: tuple[int, int]
    starts: NDArray[np.int64]
    terms: Rows
    rows: Rows
    values: Matrix
    is_mapped: bool = False

    @classmethod
    def of(cls, rows: Any) -> Postings:
        """Return the postings of sparse rows of scipy; what is zero is left out."""
        columns = rows.tocsc()
        columns.eliminate_zeros()
        columns.sort_indices()
        terms = np.flatnonzero(np.diff(columns.indptr))
        starts = np.append(columns.indptr[terms], columns.nnz)
        return cls(
            (int(columns.shape[0]), int(columns.shape[1])),
            starts.astype(NUMBER),
            terms.astype(PLACE),
            columns.indices.astype(PLACE),
            columns.data.astype(WEIGHT),
        )

    @property
    def dtype(self) -> np.dtype[np.float32]:
        """The type of the values."""
        return self.values.dtype

    @property
    def itemsize(self) -> int:
        """Bytes of a value."""
        return self.values.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(part.nbytes for part in (self.starts, self.terms, self.rows, self.values))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: NDArray[np.intp] | slice) -> Postings:
        return Postings.of(self.by_row[rows])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        dense: NDArray[Any] = self.by_row.toarray()
        return dense if dtype is None else dense.astype(dtype)

    @cached_property
    def by_row(self) -> Any:
        """The same as a `csr_array` of scipy; made when a row is first read."""
        from scipy.sparse import csc_array

        counts = np.zeros(self.shape[1] + 1, np.int64)
        counts[self.terms + 1] = np.diff(self.starts)
        return csc_array((self.values, self.rows, counts.cumsum()), shape=self.shape).tocsr()

    def scores(self, query: Matrix) -> NDArray[np.float64]:
        """Return the inner product of each row with a query (dim,), (rows,), in double precision.

        Terms are added up in their order, so equal rows get equal scores.
        """
        wanted = np.flatnonzero(query)
        places = np.searchsorted(self.terms, wanted)
        known = places < len(self.terms)
        known[known] = self.terms[places[known]] == wanted[known]
        parts = [slice(*self.starts[place : place + 2].tolist()) for place in places[known]]
        if not parts:
            return np.zeros(len(self))
        rows = np.concatenate([self.rows[part] for part in parts])
        weights = query[wanted[known]].tolist()
        # numpy multiplies single-precision values by a Python number in single precision.
        values = [
            np.multiply(self.values[part], weight, dtype=np.float64)
            for part, weight in zip(parts, weights, strict=True)
        ]
        sums = np.bincount(rows, np.concatenate(values), len(self))
        return sums.astype(np.float64, copy=False)


@dataclass(frozen=True)
class SparseBlock(Block):
    """Some sparse vectors: `vectors` are `Postings`."""

    @property
    def is_mapped(self) -> bool:
        """Whether the vectors are in a memory-mapped file, which stays open."""
        return self.postings.is_mapped

    @property
    def postings(self) -> Postings:
        """The vectors."""
        return cast(Postings, self.vectors)

    def part(self, rows: NDArray[np.intp] | slice) -> Block:
        """Return some of the rows, ascending."""
        vectors: Any = self.postings[rows]
        return replace(self, keys=self.keys[rows], vectors=vectors)

    def joined(self, run: Sequence[Block]) -> Block:
        """Return the rows of some blocks, in their order, as one."""
        vectors: Any = joined([cast(Postings, block.vectors) for block in run])
        keys = np.concatenate([block.keys for block in run])
        return replace(self, keys=keys, vectors=vectors)


def joined(parts: Sequence[Postings]) -> Postings:
    """Return the rows of several parts, in their order."""
    from scipy.sparse import vstack

    return parts[0] if len(parts) == 1 else Postings.of(vstack([part.by_row for part in parts]))


def is_sparse(rows: Any) -> bool:
    """Return whether rows are a sparse matrix of scipy, which is not imported."""
    return hasattr(rows, "tocsr")


def filled(rows: Any) -> NDArray[np.bool_]:
    """Return which rows, dense or sparse, have a value other than zero."""
    if not is_sparse(rows):
        return np.asarray(rows.any(axis=1))
    return np.asarray(np.diff(rows.indptr) > 0)


def dense(rows: Any) -> Matrix:
    """Return rows as a dense array."""
    return cast(Matrix, rows.toarray() if is_sparse(rows) else rows)


def as_sparse(rows: Any) -> Any:
    """Return rows as a `csr_array` of scipy in single precision, without zeros."""
    from scipy.sparse import csr_array

    made = csr_array(rows, dtype=np.float32)
    made.eliminate_zeros()
    return made


def scaled(rows: Any, similarity: str) -> Any:
    """Return sparse rows as they are stored: of length 1 for the cosine, else as they are.

    Raises:
        InputError: a row that is not scaled is too long for scores in its range.
    """
    lengths = np.sqrt(rows.astype(np.float64).power(2).sum(axis=1))
    if similarity == COSINE:
        lengths[lengths == 0] = 1.0
        return as_sparse(rows.multiply(1 / lengths[:, None]))
    if (lengths > LONGEST).any():
        raise InputError(
            f"A vector has the length {lengths.max():.2g}; expected at most {LONGEST:.2g} for the "
            f"similarity '{similarity}'. Fix the embedder, or let it scale its vectors."
        )
    return rows


def write(path: Path, parts: Sequence[Postings]) -> FileDigest:
    """Write the rows of several parts into one file."""
    whole = joined(parts)
    numbers = np.array([*whole.shape, len(whole.terms), len(whole.rows)], NUMBER)
    with new_file(path) as file:
        file.write(MARK)
        for part in (numbers, whole.starts, whole.terms, whole.rows, whole.values):
            file.write(np.ascontiguousarray(part).data)
    return file.digest


def read(path: Path, held: NDArray[np.uint8]) -> Postings:
    """Return the postings in the bytes of a file, which are mapped or in memory."""
    begin = len(MARK) + NUMBERS * NUMBER.itemsize
    if len(held) < begin or held[: len(MARK)].tobytes() != MARK:
        raise DamageError(f"{path} does not hold sparse vectors, as the catalog says.")
    rows, dim, terms, count = held[len(MARK) : begin].view(NUMBER).tolist()
    parts: list[Any] = []
    sizes = (NUMBER, terms + 1), (PLACE, terms), (PLACE, count), (WEIGHT, count)
    for kind, size in sizes:
        end = begin + kind.itemsize * size
        # A plain array over a mapped file: slicing it takes a third of the time.
        parts.append(np.asarray(held[begin:end]).view(kind))
        begin = end
    starts, names, places, values = parts
    return Postings((rows, dim), starts, names, places, values)


def mapped(path: Path) -> Postings:
    """Return the postings of a file, which is memory-mapped."""
    return replace(read(path, np.memmap(path, np.uint8, "r")), is_mapped=True)


def search(
    queries: Matrix, blocks: Sequence[SparseBlock], k: int, deleted: Keys | None
) -> Neighbors:
    """Return the `k` best rows that share a term with each query, without `deleted` keys.

    Scores are inner products, exact to single precision; ties are ordered by key.
    """
    k = min(k, sum(len(block.keys) for block in blocks))
    found = nothing(len(queries), k)
    for row, query in enumerate(queries):
        parts = [_matching(query, block, deleted) for block in blocks]
        keys = np.concatenate([keys for keys, _ in parts])
        scores = np.concatenate([scores for _, scores in parts])
        if len(scores) > k > 0:
            rest = len(scores) - k
            kept = np.flatnonzero(scores >= np.partition(scores, rest)[rest])
            keys, scores = keys[kept], scores[kept]
        order = np.lexsort((keys, -scores))[:k]
        found.keys[row, : len(order)] = keys[order]
        found.scores[row, : len(order)] = scores[order]
    return found


def _matching(query: Matrix, block: SparseBlock, deleted: Keys | None) -> tuple[Keys, Matrix]:
    """Return the keys of rows that share a term with a query, ascending, and their scores."""
    scores = block.postings.scores(query)
    if deleted is not None and len(deleted):
        scores[rows_of(deleted, block.keys)] = 0
    rows = np.flatnonzero(scores)
    return block.keys[rows], scores[rows].astype(np.float32)


def rescore(queries: Matrix, keys: Keys, blocks: Sequence[SparseBlock]) -> Matrix:
    """Return the score of `keys` (n, m) for each of n queries; -inf for -1 or a missing key.

    0 for a row that shares no term with the query.
    """
    scores = np.full(keys.shape, -np.inf, np.float32)
    for block in blocks:
        places = block.places(keys)
        for row, query in enumerate(queries):
            here = np.flatnonzero(places[row] != NO_ROW)
            if len(here):
                scores[row, here] = block.postings.scores(query)[places[row, here]]
    return scores
