"""More like this: documents as queries, by their stored vectors or their most telling words."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from indexes.catalog.document_rows import whole_text
from indexes.errors import InputError, short_repr
from indexes.lexical.bm25 import LexicalIndex, Terms, tokens_of
from indexes.lexical.options import LexicalOptions
from indexes.neighbors import COSINE, Keys, Matrix
from indexes.search.snapshot import Snapshot
from indexes.values import as_list
from retriever.embedders.base import similarity_of
from retriever.search.combinations.reranking import RerankingFinder
from retriever.search.document_vectors import document_vectors
from retriever.search.finders import DenseFinder, Finder, LexicalFinder
from retriever.search.queries import Queries

# How far a query moves away from documents that it should be unlike. For the cosine, 1/4 gives the
# weights 0.75 and 0.15 of Manning, Raghavan and Schütze 2008, "Introduction to Information
# Retrieval", section 9.1.1, up to the length of the query.
AWAY = 0.25
# As many terms as Lucene's MoreLikeThis takes.
MOST_TERMS = 25
# A term that only one document has finds no other.
FEWEST_DOCUMENTS = 2


NO_IDS: tuple[str, ...] = ()


@dataclass(frozen=True)
class Like:
    """A query by documents: ids of those that hits should be like, and unlike."""

    like: tuple[str, ...]
    unlike: tuple[str, ...] = ()

    @classmethod
    def of(cls, like: Iterable[str] | None, unlike: Iterable[str] | None) -> Like | None:
        """Return the query; None if no ids are given.

        Raises:
            InputError: there is none to be like, or one is no text.
        """
        liked, unliked = _ids("like", like), _ids("unlike", unlike)
        if unliked and not liked:
            raise InputError("Say which documents the hits should be like, not only unlike.")
        return cls(liked, unliked) if liked else None

    @property
    def doc_ids(self) -> tuple[str, ...]:
        """All ids."""
        return (*self.like, *self.unlike)

    def __str__(self) -> str:
        unlike = [f"unlike {doc_id}" for doc_id in self.unlike]
        return ", ".join([*(f"like {doc_id}" for doc_id in self.like), *unlike])


def _ids(name: str, given: Iterable[str] | None) -> tuple[str, ...]:
    if given is None:
        return ()
    ids = as_list(given)
    if ids is None or not all(isinstance(one, str) for one in ids):
        raise InputError(f"{name} is {short_repr(given)}; expected a list of document ids.")
    return tuple(dict.fromkeys(ids))


def like_queries(snapshot: Snapshot, finder: Finder, like: Like) -> Queries:
    """Return documents as one query of a finder: a vector or terms for each of its indexes.

    The vector is Rocchio's (1971, "Relevance Feedback in Information Retrieval"), p + (p - n) / 4
    for the means p and n of the documents to be like and unlike. A document of several passages
    counts as their mean; for the cosine, all are of unit length. In a BM25 index, the query has the
    terms that Lucene's MoreLikeThis chooses: see `telling_terms`. The documents themselves are not
    found.

    Raises:
        InputError: a model ranks the hits, which reads a query as text.
    """
    numbers = snapshot.corpus.numbers_of(like.doc_ids)
    of_all = np.array(sorted(numbers.values()), np.int64)
    queries = Queries([str(like)])
    queries.like = like
    queries.left_out = snapshot.documents_of(of_all)
    liked, unliked = (
        np.array([numbers[one] for one in ids if one in numbers], np.int64)
        for ids in (like.like, like.unlike)
    )
    texts: dict[str, str] | None = None
    for leaf in leaves(finder):
        if isinstance(leaf, DenseFinder):
            vector = _vector(snapshot, leaf, liked, unliked)
            queries.know(leaf.embedder, vector[None])
        elif isinstance(leaf, LexicalFinder):
            words: Any = snapshot.searcher(leaf.name)
            if texts is None:
                documents = snapshot.corpus.documents_of([*numbers])
                texts = {one.doc_id: whole_text(one) for one in documents}
            of_each = [
                [texts[one] for one in ids if one in texts] for ids in (like.like, like.unlike)
            ]
            queries.know_terms(leaf.options, [telling_terms(words.words, leaf.options, *of_each)])
    return queries


def leaves(finder: Finder) -> Iterator[Finder]:
    """Yield the indexes that a finder combines, or itself."""
    if isinstance(finder, RerankingFinder):
        raise InputError(
            f"'{finder.name}' ranks by a model that reads the query as a text. For documents like "
            f"others, search '{finder.parts[0].name}'."
        )
    parts: Sequence[Finder] = getattr(finder, "parts", ())
    if not parts:
        yield finder
    for part in parts:
        yield from leaves(part)


def _vector(snapshot: Snapshot, leaf: DenseFinder, liked: Keys, unliked: Keys) -> Matrix:
    """Return Rocchio's vector (dim,); zeros if the index has none of the documents to be like."""
    is_cosine = similarity_of(leaf.embedder) == COSINE
    near = _mean(snapshot, leaf, liked, is_cosine)
    if near is None:
        return np.zeros(leaf.embedder.dim, np.float32)
    far = _mean(snapshot, leaf, unliked, is_cosine)
    return near if far is None else near + AWAY * (near - far)


def _mean(snapshot: Snapshot, leaf: DenseFinder, documents: Keys, is_cosine: bool) -> Matrix | None:
    """Return the mean of the documents that the index has vectors of, (dim,); None for none."""
    having, vectors = document_vectors(snapshot, leaf.name, documents, is_cosine=is_cosine)
    return vectors.mean(axis=0) if len(having) else None


def telling_terms(
    words: LexicalIndex, options: LexicalOptions, liked: Sequence[str], unliked: Sequence[str] = ()
) -> Terms:
    """Return the 25 terms with the highest mean frequency times idf in some texts, each once.

    So does Lucene's MoreLikeThis, which takes terms only from two occurrences and five documents
    on; here, two documents suffice, as texts may be short and few. From the mean frequency in texts
    to be unlike, a fifth is taken off, as in `like_queries`.
    """
    weights = defaultdict[str, float](float)
    for texts, share in ((liked, 1 + AWAY), (unliked, -AWAY)):
        for text in texts:
            for term, count in Counter(tokens_of(text, options)).items():
                weights[term] += share * count / len(texts)
    telling = {
        term: weight * words.idf(term)
        for term, weight in weights.items()
        if weight > 0 and words.having(term) >= FEWEST_DOCUMENTS
    }
    best = heapq.nsmallest(MOST_TERMS, telling, key=lambda term: (-telling[term], term))
    return dict.fromkeys(sorted(best), 1)
