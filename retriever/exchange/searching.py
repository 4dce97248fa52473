"""The methods of a collection for searches by vectors that were made elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from numpy.typing import ArrayLike

from indexes.catalog.records import kind_of
from indexes.errors import InputError, short_repr
from indexes.store import Store
from retriever.formats.vectors.reading import VectorSource
from retriever.search.given import GivenQueries, VectorFinder
from retriever.search.options import search_options
from retriever.search.queries import Query, QueryVector
from retriever.search.results import Hits
from retriever.search.retriever import KeptRetrievers, Retriever, kept_at
from retriever.search.where import Where


class VectorSearchMethods:
    """Mixin of `Collection`: searches by vectors."""

    _store: Store
    _vector_retrievers: KeptRetrievers

    def search_vectors(
        self,
        vectors: Iterable[ArrayLike],
        *,
        index: str | None = None,
        k: int = 10,
        where: Where | None = None,
        mmr: float | None = None,
    ) -> list[Hits]:
        """Return the `k` documents nearest to each vector (n, dim); no model is loaded.

        They are those of the model whose vectors the index holds; for the cosine, of any length.
        `index` is optional if there is only one index of vectors. The other options and errors are
        those of `search`.

        Raises:
            InputError: a vector is empty, not finite or zero everywhere, or the index has none.
            MismatchError: a vector is of another width than those of the index.
        """
        if vectors is None or isinstance(vectors, str):
            raise InputError(f"vectors is {short_repr(vectors)}; expected an array (n, dim).")
        queries = [QueryVector.of(vector) for vector in vectors]
        options = search_options(mmr, all_words=False, phrase=False)
        if not queries:
            return []
        return self.vector_retriever(index).search_many(queries, k, where=where, options=options)

    def vector_retriever(self, index: str | None = None) -> Retriever:
        """Return an index of vectors that takes a `QueryVector` for a query, and nothing else.

        Raises:
            UnknownNameError: no such index.
            InputError: it is no index of vectors; or none is named, and there is not one.
        """

        def make() -> Retriever:
            return Retriever(VectorFinder(self._with_vectors(index)), self._store)

        return kept_at(self._store.catalog.generation(), self._vector_retrievers, index, make)

    def _with_vectors(self, index: str | None) -> str:
        """Return an index, or the only one that there is, if it has vectors."""
        rows = [row for row in self._store.indexes() if kind_of(row.kind).has_vectors]
        if index is None and len(rows) == 1:
            return rows[0].name
        if index is None:
            has = ", ".join(row.name for row in rows) or "none"
            raise InputError(
                f"Say which index to search with -i (index). Indexes of vectors in "
                f"{self._store.folder}/: {has}."
            )
        if not kind_of(self._store.index(index).kind).has_vectors:
            raise InputError(
                f"'{index}' cannot be searched by a vector: it is no index of vectors. Choose one "
                "of these, of the model that made the vector."
            )
        return index

    def given_queries(
        self,
        index: str,
        source: VectorSource,
        queries: Mapping[str, Query],
        wanted: Iterable[str],
    ) -> GivenQueries:
        """Return vectors of queries for an index, to give to `retriever`; see `GivenQueries.of`.

        Raises:
            UnknownNameError: no such index.
            InputError: it is no index of vectors.
        """
        return GivenQueries.of(index, self._store.embedding(index), source, queries, wanted)
