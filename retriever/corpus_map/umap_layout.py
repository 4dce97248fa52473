"""UMAP, where the package umap-learn is installed."""

from __future__ import annotations

import importlib.util
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from indexes.errors import InputError
from indexes.neighbors import Matrix
from retriever.corpus_map.pca import Points

# As in McInnes, Healy and Melville 2018, "UMAP: Uniform Manifold Approximation and Projection for
# Dimension Reduction"; fewer neighbors where there are fewer documents.
NEIGHBORS, FEWEST = 15, 5


def has_umap() -> bool:
    """Return whether umap-learn is installed."""
    return importlib.util.find_spec("umap") is not None


@dataclass(frozen=True, eq=False)
class UmapLayout:
    """A layout by UMAP. Vectors that it was not made of are placed near their neighbors."""

    reducer: Any
    share: float | None = None

    @classmethod
    def of(cls, vectors: Matrix) -> UmapLayout:
        """Lay out vectors (n, dim), the same way every time.

        Raises:
            InputError: umap-learn is not installed, or there are too few vectors.
        """
        if not has_umap():
            raise InputError("UMAP is not installed: pip install umap-learn. Or choose PCA.")
        if len(vectors) < FEWEST:
            raise InputError(f"UMAP needs at least {FEWEST} documents. Choose PCA.")
        import umap

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a seed excludes threads
            reducer = umap.UMAP(n_neighbors=min(NEIGHBORS, len(vectors) - 1), random_state=0)
            reducer.fit(vectors)
        return cls(reducer)

    def project(self, vectors: Matrix) -> Points:
        """Return the coordinates of vectors (n, dim)."""
        if not len(vectors):
            return np.empty((0, 2))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return np.asarray(self.reducer.transform(vectors), np.float64)
