"""Searches by vectors of queries that were made elsewhere: no model is loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexes.catalog.filters.conditions import Filter
from indexes.catalog.records import EmbeddingRow
from indexes.errors import InputError, MismatchError, pluralize
from indexes.images import Image
from indexes.neighbors import Keys, Matrix, Neighbors
from indexes.search.snapshot import Snapshot
from indexes.search.vector_searcher import VectorSearcher
from retriever.embedders.base import IMAGE, TEXT, Embedder, fingerprint_of
from retriever.formats.vectors.reading import VectorFile, VectorSource, read_vectors, vectors_of
from retriever.formatting import first_names
from retriever.search.combinations.hybrid import single_indexes
from retriever.search.finders import DenseFinder, Finder, SingleIndex
from retriever.search.queries import VECTOR, Queries, Query, QueryVector, query_text


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
        rows = [one.values for one in queries.contents if isinstance(one, QueryVector)]
        for row in rows:
            _check_width(snapshot, self.name, len(row))
        return np.stack(rows)


def _check_width(snapshot: Snapshot, index: str, dim: int) -> None:
    """Raise a MismatchError unless an index has vectors of a width."""
    view = snapshot.searcher(index)
    if not isinstance(view, VectorSearcher):
        raise MismatchError(f"Index '{index}' is a BM25 index now. Open it again.")
    if dim != view.embedding.dim:
        raise MismatchError(
            f"The vectors of index '{index}', of {view.embedding.model}, are {view.embedding.dim} "
            f"wide; the query vector is {dim} wide. Give one of the same model."
        )


@dataclass(frozen=True, eq=False)
class GivenQueries:
    """An embedder of some queries whose vectors are given: it looks them up, and knows no other.

    `name` is that of their file.
    """

    name: str
    dim: int
    similarity: str
    fingerprint: str
    vectors: Mapping[Query, NDArray[np.float32]]

    modalities = (TEXT, IMAGE)

    @classmethod
    def of(
        cls,
        index: str,
        embedding: EmbeddingRow,
        source: VectorSource,
        queries: Mapping[str, Query],
        wanted: Iterable[str],
    ) -> GivenQueries:
        """Return the vectors of the `wanted` queries, for an index whose vectors are `embedding`.

        A source names its vectors by the ids of queries, or has as many as there are queries, in
        their order. Of queries that are not wanted, it may have vectors, or none.

        Raises:
            InputError: a query has no vector, or a wrong one, or two queries of the same text have
                different ones; or as in `vectors_of`.
            MismatchError: they are of another width than those of the index.
        """
        file = vectors_of(source)
        if file.dim != embedding.dim:
            raise MismatchError(
                f"The vectors of index '{index}' are {embedding.dim} wide; those of the queries in "
                f"{file.name} are {file.dim} wide. Give vectors of the same model."
            )
        rows = _rows_by_id(file, list(queries))
        if lacking := [query_id for query_id in wanted if query_id not in rows]:
            have = pluralize(len(lacking), "query has", "queries have")
            raise InputError(
                f"{have} no vector in {file.name}, for index '{index}': {first_names(lacking)}. "
                "Give one for each query, by its id."
            )
        vectors: dict[Query, NDArray[np.float32]] = {}
        digest = hashlib.sha256()
        for query_id in wanted:
            row = _checked(file, query_id, rows[query_id])
            digest.update(row.tobytes())
            known = vectors.setdefault(queries[query_id], row)
            if not np.array_equal(known, row):
                raise InputError(
                    f"The text of query '{query_id}' has two vectors in {file.name}, by two ids: "
                    f"'{query_text(queries[query_id])}'. Leave one of the queries out."
                )
        made = fingerprint_of(kind="given", index=index, vectors=digest.hexdigest())
        return cls(file.name, embedding.dim, embedding.similarity, made, vectors)

    def encode_queries(self, texts: Sequence[Query]) -> Matrix:
        """Return the given vectors (len(texts), dim) of queries, texts or images.

        Raises:
            InputError: one was not given.
        """
        if unknown := [one for one in texts if one not in self.vectors]:
            raise InputError(f"No vector was given for the query '{query_text(unknown[0])}'.")
        return np.stack([self.vectors[one] for one in texts])

    def encode_images(self, images: Sequence[Image]) -> Matrix:
        """Return the given vectors of images; errors as in `encode_queries`."""
        return self.encode_queries(images)

    def encode_documents(self, texts: Sequence[str]) -> Matrix:
        """Raise: the vectors of documents are in the index."""
        raise InputError(f"{self.name} has vectors of queries, and encodes no documents.")


@dataclass(frozen=True)
class GivenFinder(DenseFinder):
    """An index of vectors that is searched by the given vectors of queries; see `GivenQueries`."""

    def _check(self, snapshot: Snapshot) -> None:
        """Raise if another process has built an index of another width under this name."""
        _check_width(snapshot, self.name, self.embedder.dim)


def query_embedders(finder: Finder) -> Iterator[tuple[str, Embedder]]:
    """Yield each index of vectors that an index is, or is made of, with the embedder of queries."""
    for one in single_indexes(finder):
        if isinstance(one, DenseFinder):
            yield one.name, one.embedder


def read_query_vectors(path: str) -> dict[str, QueryVector]:
    """Return the queries of a file of vectors by their ids; without ids, by number from 1.

    A single vector without an id has the empty one. Errors as in `read_vectors`.
    """
    file = read_vectors(path)
    count = len(file.vectors)
    numbers = [str(number) for number in range(1, count + 1)] if count > 1 else [""]
    rows = _rows_by_id(file, numbers)
    return {query_id: QueryVector(_checked(file, query_id, row)) for query_id, row in rows.items()}


def _rows_by_id(file: VectorFile, numbers: Sequence[str]) -> dict[str, NDArray[np.float32]]:
    """Return the vectors of a file by their ids; where it has none, by `numbers`, in order."""
    rows = [row for batch in file.batches() for row in batch]
    ids = [one.doc_id for one in file.ids(False)] if file.ids is not None else numbers
    if len(ids) != len(rows):
        raise InputError(
            f"{file.name} has no ids and {pluralize(len(rows), 'vector')}, and there are "
            f"{pluralize(len(ids), 'query', 'queries')}. Give one for each, in their order, or "
            "write the id of each to a file of its name that ends in .ids.txt."
        )
    if len(set(ids)) < len(ids):
        raise InputError(f"An id occurs twice in {file.name}. Give each query an id of its own.")
    return dict(zip(ids, rows, strict=True))


def _checked(file: VectorFile, query_id: str, row: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a vector that can be searched by; errors of `QueryVector.of` name its query."""
    try:
        return QueryVector.of(row).values
    except InputError as error:
        which = f"query '{query_id}' in {file.name}" if query_id else file.name
        raise InputError(f"{str(error).rstrip('.')} ({which}).") from None
