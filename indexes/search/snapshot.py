"""One state of a collection, to be searched: every read of one answer sees the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from weakref import ref

import numpy as np
from numpy.typing import NDArray

from indexes.catalog.corpus import Corpus
from indexes.catalog.filters.conditions import Filter
from indexes.catalog.passages import FoundPassage
from indexes.errors import MismatchError
from indexes.lexical.bm25 import Terms
from indexes.neighbors import Keys, Matrix, Neighbors, is_among, validate_k
from indexes.search.best_passage import best_passages, best_scores
from indexes.search.recent import RecentPassages
from indexes.search.searchers import LexicalSearcher, SearcherCache
from indexes.search.vector_searcher import VectorSearcher
from indexes.vectors.blocks import rows_of

# Vectors (n, dim), or the terms of n queries.
Queries = Matrix | Sequence[Terms]


@dataclass(frozen=True)
class Snapshot:
    """One state of a collection: that of its `generation`, inside a `catalog.reading()` of it."""

    corpus: Corpus
    searchers: SearcherCache
    recent: RecentPassages
    generation: int
    # By index, those used so far: the cache has a lock, and must compare generations. It may let go
    # of some.
    _used: dict[str, ref[VectorSearcher | LexicalSearcher]] = field(
        default_factory=dict, repr=False
    )

    def searcher(self, index: str) -> VectorSearcher | LexicalSearcher:
        """Return the searcher of an index; see `SearcherCache.of`."""
        used = self._used.get(index)
        known = used() if used is not None else None
        if known is None:
            known = self.searchers.of(index)
            self._used[index] = ref(known)
        return known

    @cached_property
    def has_several(self) -> bool:
        """Whether a document may have several passages; see `Passages.has_several`."""
        return self.corpus.has_several()

    def search(
        self,
        index: str,
        queries: Queries,
        k: int,
        *,
        where: Filter | None = None,
        exact: bool = False,
    ) -> Neighbors:
        """Return the `k` nearest documents of each query in one index, each by its best passage.

        Queries are vectors (n, dim), or `bm25.Terms` if the index is lexical. `where` selects
        the documents; `exact` searches the same vectors by brute force.
        """
        searcher = self.searcher(index)
        # The caller knows which of the two kinds of queries the index takes.
        search: Callable[..., Neighbors] = searcher.search
        allowed = None if where is None else self.searchers.allowed(where)
        if not self.has_several:
            return search(queries, k, allowed, exact=exact)
        count = len(queries)

        def nearest(rows: NDArray[np.intp], wanted: int) -> Neighbors:
            some = queries if len(rows) == count else _rows_of(queries, rows)
            return search(some, wanted, allowed, exact=exact)

        rows = searcher.count(allowed)
        return best_passages(nearest, self.corpus.owners, count, validate_k(k), rows)

    def scores(self, index: str, queries: Queries, keys: Keys) -> Neighbors:
        """Score documents that another index found, given by keys (n, m), by this index.

        Each document is returned, in its place, with its best passage in this index and that
        passage's score; -inf if the index has no passage of it.
        """
        searcher = self.searcher(index)
        score: Callable[..., Matrix] = searcher.scores
        documents = self.documents(keys)
        if documents is keys:
            return Neighbors(keys, score(queries, keys))
        passages, owners = self.corpus.passages_of(documents)
        hidden = rows_of(searcher.deleted, passages)
        visible = np.delete(passages, hidden), np.delete(owners, hidden)
        return best_scores(partial(score, queries), visible, documents)

    def vectors_of(self, index: str, documents: Keys) -> tuple[Keys, Matrix]:
        """Return the vectors that an index has of documents, given by number: one for each passage.

        The document of each vector, (n,), and the vectors as stored, (n, dim).
        """
        searcher = self._of_vectors(index)
        passages, owners = self.corpus.passages_of(documents)
        hidden = rows_of(searcher.deleted, passages)
        passages, owners = np.delete(passages, hidden), np.delete(owners, hidden)
        keys, vectors = searcher.vectors(passages)
        return owners[np.searchsorted(passages, keys)], vectors

    def vectors(self, index: str, keys: Keys) -> Matrix:
        """Return the vectors of passages as stored, (n, dim); zeros for one without a vector."""
        searcher = self._of_vectors(index)
        held, vectors = searcher.vectors(np.unique(keys))
        out = np.zeros((len(keys), searcher.embedding.dim), np.float32)
        here = is_among(keys, held)
        out[here] = vectors[np.searchsorted(held, keys[here])]
        return out

    def _of_vectors(self, index: str) -> VectorSearcher:
        searcher = self.searcher(index)
        if not isinstance(searcher, VectorSearcher):
            raise MismatchError(f"Index '{index}' is a BM25 index now. Open it again.")
        return searcher

    def documents_of(self, numbers: Keys) -> Keys:
        """Return what `documents` returns for the passages of documents given by number."""
        return np.unique(self.documents(self.corpus.passages_of(numbers)[0]))

    def documents(self, keys: Keys) -> Keys:
        """Return the document of each key: the key itself where each document has only one."""
        several = self.has_several or self.searchers.has_stale()
        return self.corpus.owners(keys) if several else keys

    def found(self, keys: Sequence[int]) -> Mapping[int, FoundPassage]:
        """Return passages with their documents, by key; see `RecentPassages.found`."""
        return self.recent.found(keys)

    def notes_on(self, name: str, make: Callable[[Corpus], tuple[str, ...]]) -> tuple[str, ...]:
        """Return what a function says about the documents; kept by name until one changes."""
        return self.searchers.notes_on(name, make)


def _rows_of(queries: Queries, rows: NDArray[np.intp]) -> Queries:
    if isinstance(queries, np.ndarray):
        return queries[rows]
    return [queries[row] for row in rows.tolist()]
