"""Vectors under their keys: what is searched."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexes.neighbours import Keys

__all__ = ["Block", "rows_of"]


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
