"""Blocks of vectors under their keys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from indexes.neighbors import COSINE, Keys, Matrix, lengths_of

# Blocks below the first size are joined up to the second: a search takes a step for each block.
SMALL_BYTES = 1 << 20
JOINED_BYTES = 16 << 20
NO_ROW = -1
# Rows of which the lengths are computed at once.
MEASURED_ROWS = 16_384


@dataclass(frozen=True)
class Block:
    """Some vectors: `keys` (rows,) ascending, `vectors` (rows, dim), float32 or float16.

    `similarity` says how queries are compared with them. For `cosine`, they are of unit length.
    """

    keys: Keys
    vectors: NDArray[np.floating]
    similarity: str = COSINE

    @cached_property
    def lengths(self) -> NDArray[np.float64]:
        """The length of each vector, (rows,); computed once."""
        starts = range(0, len(self.vectors), MEASURED_ROWS)
        parts = (self.vectors[start : start + MEASURED_ROWS] for start in starts)
        return np.concatenate([np.empty(0), *(lengths_of(np.asarray(part)) for part in parts)])

    @cached_property
    def single(self) -> Matrix:
        """All vectors in single precision: a view, or for half precision a copy that is kept."""
        return np.ascontiguousarray(self.vectors, np.float32)

    @cached_property
    def longest(self) -> float:
        """The greatest length of a vector; 0 if there are none."""
        return float(self.lengths.max(initial=0.0))

    @cached_property
    def span(self) -> tuple[int, int]:
        """The first key, and the number after the last; two zeros if there are none."""
        return (int(self.keys[0]), int(self.keys[-1]) + 1) if len(self.keys) else (0, 0)

    @cached_property
    def has_gaps(self) -> bool:
        """Whether a number between two of the keys is none."""
        return self.span[1] - self.span[0] != len(self.keys)

    @property
    def is_mapped(self) -> bool:
        """Whether the vectors are in a memory-mapped file, which stays open."""
        return isinstance(self.vectors, np.memmap)

    def places(self, keys: Keys) -> NDArray[np.intp]:
        """Return the row of each of some keys (any shape), -1 for a key that is not here."""
        if not len(self.keys):
            return np.full(keys.shape, NO_ROW)
        if self.has_gaps:
            rows = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
            return np.where(self.keys[rows] == keys, rows, NO_ROW)
        # The usual case: a subtraction, where a search takes as long as the vectors' scores.
        places: NDArray[np.intp] = keys - self.keys[0]
        places[places.view(np.uint64) >= len(self.keys)] = NO_ROW  # also what is below 0
        return places

    def part(self, rows: NDArray[np.intp] | slice) -> Block:
        """Return some of the rows, ascending; views where `rows` is a slice."""
        return replace(self, keys=self.keys[rows], vectors=np.asarray(self.vectors[rows]))

    def joined(self, run: Sequence[Block]) -> Block:
        """Return the rows of some blocks, in their order, as one."""
        keys, vectors = zip(*((block.keys, block.vectors) for block in run), strict=True)
        return replace(self, keys=np.concatenate(keys), vectors=np.concatenate(vectors))


def rows_of(wanted: Keys, keys: Keys) -> NDArray[np.intp]:
    """Return the rows of those `wanted` keys that a block has; both ascend."""
    if not len(keys):
        return np.empty(0, np.intp)
    first, stop = np.searchsorted(wanted, [keys[0], keys[-1] + 1])
    here = wanted[first:stop]
    at: NDArray[np.intp] = np.searchsorted(keys, here)
    found: NDArray[np.intp] = at[keys[at] == here]
    return found


def count_live(blocks: Sequence[Block], deleted: Keys) -> int:
    """Count the rows with a key that is not in `deleted`; no vector is read."""
    return sum(len(block.keys) - len(rows_of(deleted, block.keys)) for block in blocks)


def join_small(blocks: Iterable[Block]) -> list[Block]:
    """Return the same rows, ascending by key, in fewer blocks: small neighbors are joined."""
    runs: list[list[Block]] = []
    room = 0
    for block in blocks:
        size = block.vectors.nbytes
        if size < min(room, SMALL_BYTES):
            runs[-1].append(block)
            room -= size
        else:
            runs.append([block])
            room = JOINED_BYTES - size if size < SMALL_BYTES else 0
    return [run[0] if len(run) == 1 else run[0].joined(run) for run in runs]


def live(block: Block, deleted: Keys, step: int = 1, start: int = 0) -> Block:
    """Return every `step`th row whose key is not in `deleted`, from number `start` on."""
    gone = rows_of(deleted, block.keys)
    if not len(gone):  # views, not copies
        return block.part(slice(start, None, step))
    return block.part(np.delete(np.arange(len(block.keys)), gone)[start::step])


def live_keys(blocks: Sequence[Block], deleted: Keys) -> Keys:
    """Return the keys of some blocks, without deleted ones, in their order; no vector is read."""
    kept = [np.delete(block.keys, rows_of(deleted, block.keys)) for block in blocks]
    return np.concatenate([np.empty(0, np.int64), *kept])
