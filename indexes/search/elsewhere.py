"""Scores of vectors that are in no index, as one would give them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from indexes.neighbors import Matrix, normalize_queries
from indexes.search.vector_searcher import VectorSearcher
from indexes.vectors.blocks import Block
from indexes.vectors.exact import rescore
from indexes.vectors.shards import for_similarity


def scores_of(
    searcher: VectorSearcher, queries: Matrix, vectors: Matrix, rows: NDArray[np.int64]
) -> Matrix:
    """Return the score of some `vectors` for each query, as if the index had stored them.

    `rows` (n, m) are those of n queries, -1 for none. -inf there, for a vector of zeros and for a
    query of zeros, neither of which finds anything.
    """
    embedding = searcher.embedding
    stored = for_similarity(vectors, embedding).astype(embedding.dtype)
    block = Block(np.arange(len(stored)), stored, embedding.similarity)
    checked = normalize_queries(queries, embedding.dim, embedding.similarity)
    some = np.asarray(vectors.any(axis=1))
    wanted = np.where(some[rows], rows, -1)
    scores = rescore(checked, wanted, [block])
    scores[~checked.any(axis=1)] = -np.inf
    return scores
