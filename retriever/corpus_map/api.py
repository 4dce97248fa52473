"""The methods of a collection for maps of its documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from indexes.neighbors import Matrix
from indexes.store import Store
from retriever.corpus_map.corpus_map import (
    PCA,
    CorpusMap,
    make_map,
    place_documents,
    place_vector,
)

MOST = 2_000


class CorpusMapMethods:
    """Mixin of `Collection`: its documents as points of a plane."""

    _store: Store

    def corpus_map(self, index: str, *, most: int = MOST, method: str = PCA) -> CorpusMap:
        """Return at most `most` documents, evenly spread, as points of a plane.

        The vectors of an index are projected: those of a document that is split are averaged. The
        method is `pca`, or `umap` where umap-learn is installed. No model is needed.

        Raises:
            InputError: the index has no vectors, `most` is below 1, the method is unknown or not
                installed.
            UnknownNameError: no such index.
        """
        return make_map(self._store, index, most, method)

    def places(self, made: CorpusMap, doc_ids: Sequence[str]) -> Mapping[str, tuple[float, float]]:
        """Return where documents are on a map; without those that its index has no vector of."""
        return place_documents(self._store, made, doc_ids)

    def place_of(self, made: CorpusMap, vector: Matrix) -> tuple[float, float]:
        """Return where a vector (dim,), such as that of a query, is on a map."""
        return place_vector(self._store, made, vector)
