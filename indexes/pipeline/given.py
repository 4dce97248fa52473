"""Vectors that were made elsewhere, given by the key of their passage instead of an embedder."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexes.catalog.passages import Passage
from indexes.neighbors import Keys, Matrix, is_among
from indexes.pipeline.encoder import Batch, EncodedBatch, FailedPassage


@dataclass(frozen=True)
class GivenVectors:
    """The vectors of `keys`, which ascend; `read` returns some by their places among these.

    A row of zeros means that there is nothing to embed. A passage of another key fails, and stays
    left to embed.
    """

    keys: Keys
    read: Callable[[NDArray[np.intp]], Matrix]

    def batch(self, passages: Sequence[Passage]) -> Batch:
        """Return the vectors of some passages, in key order."""
        started = time.perf_counter()
        keys = np.array([passage.key for passage in passages], np.int64)
        has = is_among(keys, self.keys)
        outcomes: list[EncodedBatch | FailedPassage] = []
        for run in np.split(np.arange(len(keys)), np.flatnonzero(np.diff(has)) + 1):
            some = keys[run]
            if has[run[0]]:
                rows = self.read(np.searchsorted(self.keys, some))
                outcomes.append(EncodedBatch(some.tolist(), rows, 0.0, {}))
            else:
                outcomes += [FailedPassage(key, "no vector was given") for key in some.tolist()]
        return Batch(outcomes, time.perf_counter() - started)

    def finish(self) -> None:
        """Do nothing: no model can fail."""
