"""Search through a structure: its candidates, scored exactly; and what that search misses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from indexes.neighbors import NO_KEY, Matrix, Neighbors, best, normalize_queries
from indexes.vectors.blocks import Block
from indexes.vectors.engine import Mask, VectorIndex
from indexes.vectors.exact import rescore


def search(
    structure: VectorIndex,
    queries: Matrix,
    k: int,
    blocks: Sequence[Block],
    mask: Mask | None = None,
) -> Neighbors:
    """Return the `k` best of a structure's candidates for each query, by their exact scores.

    `blocks` hold the vectors that it was built over, and may hold others.
    """
    found = structure.search(queries, k, mask)
    dim = blocks[0].vectors.shape[1]
    scores = rescore(normalize_queries(queries, dim), found.keys, blocks)
    # A key without a vector belongs to a shard that is being embedded again.
    keys = np.where(np.isneginf(scores), NO_KEY, found.keys)
    return structure.expand(best(keys, scores, keys.shape[1]), k, mask)
