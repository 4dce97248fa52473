"""One state of a collection, to be searched: every read of one answer sees the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.catalog.corpus import Corpus
from indexes.catalog.filters import Filter
from indexes.catalog.passages import FoundPassage
from indexes.lexical.bm25 import Terms
from indexes.neighbors import Keys, Matrix, Neighbors, validate_k
from indexes.search.best_passage import best_passages, best_scores
from indexes.search.searchers import LexicalSearcher, SearcherCache, VectorSearcher

# Vectors (n, dim), or the terms of n queries.
Queries = Matrix | Sequence[Terms]


@dataclass(frozen=True)
class Snapshot:
    """One state of a collection, that of the running `catalog.reading()`.

    It does not change while it is held, whatever a writer commits.
    """

    _corpus: Corpus
    _views: SearcherCache

    @property
    def generation(self) -> int:
        """Number of commits that changed what a search can see, up to this state."""
        return self._views.generation()

    def view(self, index: str) -> VectorSearcher | LexicalSearcher:
        """Return the searcher of an index; errors as in `SearcherCache.of`."""
        return self._views.of(index)

    def definition(self, index: str) -> Mapping[str, Any]:
        """Return the definition of an index, also of a combination."""
        return self._views.definition(index)

    @property
    def is_split(self) -> bool:
        """Whether a document may have several passages."""
        return self._corpus.is_split

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

        Queries are vectors (n, dim), or `lexical.Terms` if the index is lexical. `where` selects
        the documents; `exact` searches the same vectors by brute force.
        """
        view = self._views.of(index)
        # The caller knows which of the two kinds of queries the index takes.
        search: Callable[..., Neighbors] = view.search
        allowed = self._views.allowed(where)
        if not self._corpus.is_split:
            return search(queries, k, allowed, exact=exact)
        count = len(queries)

        def nearest(rows: NDArray[np.intp], wanted: int) -> Neighbors:
            some = queries if len(rows) == count else _rows_of(queries, rows)
            return search(some, wanted, allowed, exact=exact)

        rows = view.count(allowed)
        return best_passages(nearest, self._corpus.owners, count, validate_k(k), rows)

    def scores(self, index: str, queries: Queries, keys: Keys) -> Neighbors:
        """Score documents that another index found, given by keys (n, m), by this index.

        Each document is returned, in its place, with its best passage in this index and that
        passage's score; -inf if the index has no passage of it.
        """
        score: Callable[..., Matrix] = self.view(index).scores
        if not self._corpus.is_split:
            return Neighbors(keys, score(queries, keys))
        documents = self.owners(keys)
        passages = self._corpus.passages_of(documents)
        return best_scores(partial(score, queries), passages, documents)

    def owners(self, keys: Keys) -> Keys:
        """Return the document number of each key (any shape); -1 for key -1."""
        return self._corpus.owners(keys)

    def lets_through(self, where: Filter) -> bool:
        """Return whether any document passes a filter."""
        allowed = self._views.allowed(where)
        return allowed is None or len(allowed.keys) > 0

    def found(self, keys: Sequence[int]) -> dict[int, FoundPassage]:
        """Return the passages of keys with their documents; see `Corpus.found`."""
        return self._corpus.found(keys)

    def doc_ids(self, keys: Sequence[int]) -> dict[int, str]:
        """Return the document ids of keys, by one SQL statement."""
        return self._corpus.doc_ids(keys)


def _rows_of(queries: Queries, rows: NDArray[np.intp]) -> Queries:
    if isinstance(queries, np.ndarray):
        return queries[rows]
    return [queries[row] for row in rows.tolist()]
