"""Vectors under their keys: what is searched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexes.neighbours import Keys

__all__ = ["Block", "count_living", "living", "rows_of"]


@dataclass(frozen=True)
class Block:
    """Some vectors: `keys` (rows,) ascending, `vectors` (rows, dim), float32 or float16."""

    keys: Keys
    vectors: NDArray[np.floating]


def rows_of(wanted: Keys, keys: Keys) -> NDArray[np.intp]:
    """Where some wanted keys stand among the keys of a block; both ascend."""
    if not len(keys):
        return np.empty(0, np.intp)
    first, stop = np.searchsorted(wanted, [keys[0], keys[-1] + 1])
    here = wanted[first:stop]
    at: NDArray[np.intp] = np.searchsorted(keys, here)
    found: NDArray[np.intp] = at[keys[at] == here]
    return found


def count_living(blocks: Sequence[Block], dead: Keys) -> int:
    """How many rows have a key that is not in `dead`; no vector is looked at."""
    return sum(len(block.keys) - len(rows_of(dead, block.keys)) for block in blocks)


def living(block: Block, dead: Keys, step: int = 1, start: int = 0) -> Block:
    """Every `step`th of a block's rows whose keys are not in `dead`; a view where none is.

    The first is that of number `start` among them.
    """
    gone = rows_of(dead, block.keys)
    if not len(gone):
        return Block(block.keys[start::step], block.vectors[start::step])
    rows = np.delete(np.arange(len(block.keys)), gone)[start::step]
    return Block(block.keys[rows], block.vectors[rows])
