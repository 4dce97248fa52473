"""Documents of an index as points of a plane, in which others can be placed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from indexes.errors import InputError
from indexes.neighbors import COSINE, Keys, Matrix
from indexes.search.snapshot import Snapshot
from indexes.store import Store
from retriever.corpus_map.pca import Plane, Points, principal_plane
from retriever.corpus_map.umap_layout import UmapLayout
from retriever.embedders.base import unit
from retriever.formatting import beginning
from retriever.search.document_vectors import document_vectors

PCA, UMAP = "pca", "umap"
# Characters of a title, or of a text where a document has none.
LABEL = 80


@dataclass(frozen=True, eq=False)
class CorpusMap:
    """Documents of an index as points (n, 2), in the order of adding, each with a label.

    At most so many as asked, evenly spread over the corpus of `documents` documents. `share` is how
    much of the variance of their vectors the plane keeps; None for UMAP.
    """

    index: str
    method: str
    doc_ids: tuple[str, ...]
    labels: tuple[str, ...]
    points: Points
    documents: int
    layout: Plane | UmapLayout

    @property
    def share(self) -> float | None:
        """The share of the variance that the plane keeps, from 0 to 1; None for UMAP."""
        return self.layout.share


def make_map(store: Store, index: str, most: int, method: str) -> CorpusMap:
    """Return the map of an index; see `Collection.corpus_map`."""
    if method not in (PCA, UMAP):
        raise InputError(f"No method '{method}' for maps. Choose {PCA} or {UMAP}.")
    if most < 1:
        raise InputError(f"A map of {most} documents cannot be made; expected at least 1.")
    is_cosine = _is_cosine(store, index)

    def read(snapshot: Snapshot) -> tuple[list[str], list[str], Matrix, int]:
        chosen = np.array(snapshot.corpus.spread(most), np.int64)
        numbers, vectors = document_vectors(snapshot, index, chosen, is_cosine=is_cosine)
        documents = dict(snapshot.corpus.documents_with(numbers.tolist()))
        found = [documents[number] for number in numbers.tolist()]
        labels = [
            beginning(" ".join((one.title or one.text or one.doc_id).split()), LABEL)
            for one in found
        ]
        return [one.doc_id for one in found], labels, vectors, snapshot.corpus.count()

    doc_ids, labels, vectors, count = store.read(read)
    if not doc_ids:
        raise InputError(f"Index '{index}' has no vector of any document, so there is no map.")
    layout = UmapLayout.of(vectors) if method == UMAP else principal_plane(vectors)
    points = layout.project(vectors)
    return CorpusMap(index, method, tuple(doc_ids), tuple(labels), points, count, layout)


def place_documents(
    store: Store, made: CorpusMap, doc_ids: Sequence[str]
) -> Mapping[str, tuple[float, float]]:
    """Return where documents are on a map, also those that are not among its points.

    Unknown ids are left out, and documents that the index has no vector of.
    """
    known = dict(zip(made.doc_ids, made.points.tolist(), strict=True))
    others = [one for one in dict.fromkeys(doc_ids) if one not in known]
    places = {one: known[one] for one in doc_ids if one in known}
    if others:
        is_cosine = _is_cosine(store, made.index)

        def read(snapshot: Snapshot) -> tuple[dict[str, int], Keys, Matrix]:
            numbers = snapshot.corpus.numbers_of(others)
            chosen = np.array(sorted(numbers.values()), np.int64)
            return numbers, *document_vectors(snapshot, made.index, chosen, is_cosine=is_cosine)

        numbers, having, vectors = store.read(read)
        points = made.layout.project(vectors).tolist() if len(having) else []
        at = dict(zip(having.tolist(), points, strict=True))
        places |= {one: at[number] for one, number in numbers.items() if number in at}
    return {one: (x, y) for one, (x, y) in places.items()}


def place_vector(store: Store, made: CorpusMap, vector: Matrix) -> tuple[float, float]:
    """Return where a vector (dim,) of the index's model is on a map."""
    row = vector[None]
    ((x, y),) = made.layout.project(unit(row) if _is_cosine(store, made.index) else row).tolist()
    return x, y


def _is_cosine(store: Store, index: str) -> bool:
    return store.embedding(index).similarity == COSINE
