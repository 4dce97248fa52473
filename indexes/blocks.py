"""Vectors under their keys: what is searched."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexes.neighbours import Keys

__all__ = ["Block"]


@dataclass(frozen=True)
class Block:
    """Some vectors: `keys` (rows,) ascending, `vectors` (rows, dim), float32 or float16."""

    keys: Keys
    vectors: NDArray[np.floating]
