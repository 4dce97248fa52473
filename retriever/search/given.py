"""Searches by vectors that were made elsewhere: no model is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from indexes.catalog.filters import Filter
from indexes.errors import InputError, MismatchError
from indexes.neighbors import Keys, Matrix, Neighbors
from indexes.search.searchers import VectorSearcher
from indexes.search.snapshot import Snapshot
from retriever.formats.vectors.reading import read_vectors
from retriever.search.finders import SingleIndex
from retriever.search.queries import VECTOR, Queries, QueryVector


@dataclass(frozen=True)
class VectorFinder(SingleIndex):
    """An index of vectors that is searched by vectors, whatever model made them."""

    def modalities(self) -> Sequence[str]:
        """Return `vector` alone."""
        return (VECTOR,)

    def prepare(self, queries: Queries) -> None:
        """Do nothing: the vectors are given."""

    def nearest(
        self, snapshot: Snapshot, queries: Queries, k: int, where: Filter | None = None
    ) -> Neighbors:
        """Return the `k` documents with the nearest vectors."""
        return snapshot.search(self.name, self._matrix(snapshot, queries), k, where=where)

    def scores(self, snapshot: Snapshot, queries: Queries, keys: Keys) -> Neighbors:
        """Return the scores of given documents, from the stored vectors."""
        return snapshot.scores(self.name, self._matrix(snapshot, queries), keys)

    def notes(self, queries: Queries) -> Sequence[Sequence[str]]:
        """Return no notes: a vector of zeros is refused."""
        return [()] * len(queries.contents)

    def _matrix(self, snapshot: Snapshot, queries: Queries) -> Matrix:
        view = snapshot.searcher(self.name)
        if not isinstance(view, VectorSearcher):
            raise MismatchError(f"Index '{self.name}' is a BM25 index now. Open it again.")
        rows = [one.values for one in queries.contents if isinstance(one, QueryVector)]
        wrong = [row for row in rows if len(row) != view.embedding.dim]
        if wrong:
            raise MismatchError(
                f"Index '{self.name}' holds {view.embedding.model} vectors ({view.embedding.dim} "
                f"wide); the query vector is {len(wrong[0])} wide. Give one of the same model."
            )
        return np.stack(rows)


def read_query_vectors(path: str) -> dict[str, QueryVector]:
    """Return the queries of a file of vectors by their ids; without ids, by number from 1.

    A single vector without an id has the empty one. Errors as in `read_vectors`.
    """
    file = read_vectors(path)
    rows = [QueryVector.of(row) for batch in file.batches() for row in batch]
    if file.ids is not None:
        ids = [one.doc_id for one in file.ids(False)]
    else:
        ids = [str(number) for number in range(1, len(rows) + 1)] if len(rows) > 1 else [""]
    if len(set(ids)) < len(ids):
        raise InputError(f"An id occurs twice in {path}. Give each query an id of its own.")
    return dict(zip(ids, rows, strict=True))
