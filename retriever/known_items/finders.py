"""Finders that see a corpus in which each query's document is replaced by its rest.

The rest is embedded as a document is, or counted for BM25, and ranked among all other documents:
what a search would return if the document had been added so. A rest has the keys of its document's
passages, so fusions and cascades need not know.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from indexes.catalog.filters.conditions import Filter
from indexes.catalog.passages import FoundPassage
from indexes.errors import InputError
from indexes.images import Image
from indexes.lexical.bm25 import terms_of
from indexes.lexical.replaced import CountedTerms
from indexes.neighbors import NO_KEY, Keys, Matrix, Neighbors, best, is_among, nothing
from indexes.search.elsewhere import scores_of
from indexes.search.searchers import LexicalSearcher
from indexes.search.snapshot import Snapshot
from indexes.search.vector_searcher import VectorSearcher
from retriever.collection import Collection
from retriever.embedders.base import Embedder
from retriever.known_items.rests import Rests, ids_of
from retriever.search.combinations.hybrid import Combination
from retriever.search.combinations.reranking import RerankingFinder
from retriever.search.finders import DenseFinder, Finder, LexicalFinder
from retriever.search.queries import Queries
from retriever.search.retriever import Retriever

AT_ONCE = 5_000
LAST = np.iinfo(np.int64).max


def with_rests(retriever: Retriever, collection: Collection, rests: Rests) -> Retriever:
    """Return a retriever of the same index for queries with ids that `rests` has.

    Raises:
        InputError: the vectors of an index were made elsewhere, and nothing can embed a rest.
    """
    return replace(retriever, finder=_of_rests(retriever.finder, collection, rests))


def _of_rests(finder: Finder, collection: Collection, rests: Rests) -> Finder:
    if isinstance(finder, DenseFinder):
        embedder = collection.embedder(finder.name)
        return DenseOfRests(
            finder.name, finder.embedder, finder.exact, rests=rests, documents_by=embedder
        )
    if isinstance(finder, LexicalFinder):
        return LexicalOfRests(finder.name, finder.options, rests=rests)
    if not isinstance(finder, Combination):
        raise InputError(f"'{finder.name}' cannot be asked for the rest of a document.")
    parts = [_of_rests(part, collection, rests) for part in finder.parts]
    if isinstance(finder, RerankingFinder):
        return RerankingOfRests(finder.name, parts, finder.definition, finder.reranker, rests=rests)
    return replace(finder, parts=parts)


@dataclass(frozen=True)
class DenseOfRests(DenseFinder):
    """An index of vectors in which a rest, embedded as a document, replaces its document's own."""

    rests: Rests = field(kw_only=True)
    documents_by: Embedder = field(kw_only=True)

    def nearest(
        self, snapshot: Snapshot, queries: Queries, k: int, where: Filter | None = None
    ) -> Neighbors:
        """Return the `k` documents with the nearest vectors."""
        # One more: the document itself may be among them.
        found = DenseFinder.nearest(self, snapshot, queries, k + 1, where)
        own, rests = self._own(snapshot, queries)
        others = np.array(
            [is_among(row, of) for row, of in zip(found.keys, own, strict=True)], np.bool_
        ).reshape(found.keys.shape)
        keys = np.concatenate([np.where(others, NO_KEY, found.keys), rests.keys], axis=1)
        scores = np.concatenate([found.scores, rests.scores], axis=1)
        return best(keys, scores, k)

    def scores(self, snapshot: Snapshot, queries: Queries, keys: Keys) -> Neighbors:
        """Return the scores of given documents; of each query's own, that of the rest."""
        own, rests = self._own(snapshot, queries)
        return _put_in(DenseFinder.scores(self, snapshot, queries, keys), own, rests)

    def _own(self, snapshot: Snapshot, queries: Queries) -> tuple[list[Keys], Neighbors]:
        """Return the keys of each query's document, and its rest by its best passage, (n, 1)."""
        self._check(snapshot)
        view = cast(VectorSearcher, snapshot.searcher(self.name))
        query_ids = ids_of(queries)
        own, rows = self.rests.keys(snapshot, query_ids), self.rests.rows(query_ids)
        vectors = self.rests.vectors(self.documents_by)
        return own, _best_of(scores_of(view, queries.vectors(self.embedder), vectors, rows), own)


@dataclass(frozen=True)
class LexicalOfRests(LexicalFinder):
    """A BM25 index with, for each query, the statistics of the corpus with its rest."""

    rests: Rests = field(kw_only=True)
    # What was counted last, by generation.
    _counted: dict[int, tuple[CountedTerms, Keys]] = field(
        default_factory=dict, compare=False, repr=False
    )

    def nearest(
        self, snapshot: Snapshot, queries: Queries, k: int, where: Filter | None = None
    ) -> Neighbors:
        """Return the `k` documents with the best BM25; only those sharing a term with a query."""
        out = nothing(len(queries.contents), k)
        for row, (_, keys, scores) in enumerate(self._each(snapshot, queries)):
            some = np.flatnonzero(scores > 0)
            found = best(keys[some][None], scores[some][None], k)
            width = found.keys.shape[1]
            out.keys[row, :width], out.scores[row, :width] = found.keys, found.scores
        return out

    def scores(self, snapshot: Snapshot, queries: Queries, keys: Keys) -> Neighbors:
        """Return the BM25 of given documents; of each query's own, that of the rest."""
        wanted, out = snapshot.documents(keys), nothing(*keys.shape)
        for row, (documents, passages, scores) in enumerate(self._each(snapshot, queries)):
            here = is_among(wanted[row], documents) & (keys[row] != NO_KEY)
            places = np.searchsorted(documents, wanted[row][here])
            out.keys[row], out.scores[row, here] = keys[row], scores[places]
            out.keys[row, here] = passages[places]
        return out

    def _each(self, snapshot: Snapshot, queries: Queries) -> Iterator[tuple[Keys, Keys, Matrix]]:
        """Yield for each query the documents, ascending, their best passages and their scores."""
        self._check(snapshot)
        terms = queries.terms(self.options)
        counted, owners = self._counts(snapshot)
        query_ids = ids_of(queries)
        for query_id, wanted, own in zip(
            query_ids, terms, self.rests.keys(snapshot, query_ids), strict=True
        ):
            replaced = np.flatnonzero(is_among(counted.keys, own))
            scores, of_rest = counted.scores(wanted, replaced, self.rests.passages(query_id))
            if len(replaced):
                # The rest has the keys of its document's passages: the best of it, the first.
                scores[replaced[_places(of_rest, len(replaced))]] = of_rest.max()
            order = np.lexsort((counted.keys, -scores))
            documents, first = np.unique(owners[order], return_index=True)
            yield documents, counted.keys[order][first], scores[order][first]

    def _counts(self, snapshot: Snapshot) -> tuple[CountedTerms, Keys]:
        """Return the counted passages of the index, and the document of each."""
        found = self._counted.get(snapshot.generation)
        if found is None:
            # Of all queries at once: the texts are read once.
            texts = self.rests.made.values()
            terms = {term for text in texts for term in terms_of(text, self.options)}
            counted = CountedTerms.of(self.options, self._texts(snapshot), terms)
            found = counted, snapshot.documents(counted.keys)
            self._counted.clear()
            self._counted[snapshot.generation] = found
        return found

    def _texts(self, snapshot: Snapshot) -> Iterator[tuple[int, str]]:
        """Yield the key and the text of each passage that the index has and a search can find."""
        view = cast(LexicalSearcher, snapshot.searcher(self.name))
        keys, start = view.words.keys, 0
        hidden = view.deleted
        while some := snapshot.corpus.passages(start, LAST, AT_ONCE):
            start = some[-1].key + 1
            have = np.array([passage.key for passage in some], np.int64)
            there = is_among(have, keys) & ~is_among(have, hidden)
            for passage, found in zip(some, there.tolist(), strict=True):
                if found and not isinstance(passage.content, Image):
                    yield passage.key, passage.text


@dataclass(frozen=True)
class RerankingOfRests(RerankingFinder):
    """Reranking in which the model reads the rest of each query's own document."""

    rests: Rests = field(kw_only=True)

    def _check(self, snapshot: Snapshot) -> None:
        """Accept any catalog, as a cascade without a name: the parts check themselves."""

    def _text(self, snapshot: Snapshot, queries: Queries, row: int, passage: FoundPassage) -> str:
        query_id = ids_of(queries)[row]
        (own,) = self.rests.keys(snapshot, [query_id])
        if passage.key not in own:
            return RerankingFinder._text(self, snapshot, queries, row, passage)
        passages = self.rests.passages(query_id)
        return passages[min(int(np.searchsorted(own, passage.key)), len(passages) - 1)]


def _best_of(scores: Matrix, own: Sequence[Keys]) -> Neighbors:
    """Return the best passage of each rest, (n, 1), under a key of its document."""
    out = nothing(len(own), 1)
    for row, keys in enumerate(own):
        place = int(scores[row].argmax())
        if len(keys) and np.isfinite(scores[row, place]):
            out.keys[row, 0] = keys[min(place, len(keys) - 1)]
            out.scores[row, 0] = scores[row, place]
    return out


def _put_in(found: Neighbors, own: Sequence[Keys], rests: Neighbors) -> Neighbors:
    """Return the scores of documents with those of the rests in place of their documents'."""
    keys, scores = found.keys.copy(), found.scores.copy()
    for row, of in enumerate(own):
        here = is_among(keys[row], of) & (keys[row] != NO_KEY)
        keys[row, here] = np.where(rests.keys[row] == NO_KEY, keys[row, here], rests.keys[row])
        scores[row, here] = rests.scores[row]
    return Neighbors(keys, scores)


def _places(scores: Matrix, keys: int) -> NDArray[np.intp]:
    """Return the place, among a document's keys, of the best passage of its rest."""
    return np.array([min(int(scores.argmax()), keys - 1)])
