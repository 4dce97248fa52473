"""One vector for each document of an index: the mean of its passages'."""

from __future__ import annotations

import numpy as np

from indexes.neighbors import Keys, Matrix
from indexes.search.snapshot import Snapshot
from retriever.embedders.base import unit

# Documents whose vectors are in memory at a time, as they may have hundreds of passages.
PAGE = 256


def document_vectors(
    snapshot: Snapshot, index: str, documents: Keys, *, is_cosine: bool
) -> tuple[Keys, Matrix]:
    """Return the documents, given by number, that an index has vectors of, and a vector of each.

    Numbers (n,), ascending, and vectors (n, dim): the mean over the passages, of unit length for
    the cosine.
    """
    numbers, rows = list[int](), list[Matrix]()
    ordered = np.unique(documents)
    for start in range(0, len(ordered), PAGE):
        owners, vectors = snapshot.vectors_of(index, ordered[start : start + PAGE])
        for one in np.unique(owners).tolist():
            numbers.append(one)
            rows.append(vectors[owners == one].mean(axis=0))
    if not rows:
        return np.empty(0, np.int64), np.empty((0, 0), np.float32)
    means = np.stack(rows).astype(np.float32)
    return np.array(numbers, np.int64), unit(means) if is_cosine else means
