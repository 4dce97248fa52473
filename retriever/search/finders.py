"""Finders: what searches an index for queries, over vectors or by BM25."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from indexes.catalog.filters import Filter
from indexes.errors import MismatchError
from indexes.lexical.bm25 import Terms, terms_of
from indexes.neighbors import NO_KEY, Keys, Neighbors
from indexes.search.searchers import VectorSearcher
from indexes.search.snapshot import Snapshot
from retriever.embedders.base import Embedder, Matrix
from retriever.indexing.fingerprints import check_query_embedder
from retriever.indexing.info import missing_note


class Queries:
    """Some queries, with their vectors by embedder and their terms by language, computed once."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts
        self._vectors: list[tuple[Embedder, Matrix]] = []
        self._terms: dict[str, Sequence[Terms]] = {}
        # By index, for each query: whether a search by words found nothing.
        self.unanswered: dict[str, list[bool]] = {}

    def vectors(self, embedder: Embedder) -> Matrix:
        """Return the vectors (len(texts), dim) that an embedder gives them."""
        for known, vectors in self._vectors:
            if known is embedder or known.fingerprint == embedder.fingerprint:
                return vectors
        vectors = embedder.encode_queries(self.texts)
        self._vectors.append((embedder, vectors))
        return vectors

    def terms(self, language: str) -> Sequence[Terms]:
        """Return the terms of each, as an index of that language stores them."""
        if language not in self._terms:
            self._terms[language] = [terms_of(text, language) for text in self.texts]
        return self._terms[language]


class Finder(Protocol):
    """A searcher that returns keys of passages with scores: each document once, by its best one."""

    @property
    def name(self) -> str:
        """Name of the index."""

    def prepare(self, queries: Queries) -> None:
        """Encode the queries in every way needed: the expensive part, timed separately."""

    def nearest(
        self, snapshot: Snapshot, queries: Queries, k: int, where: Filter | None = None
    ) -> Neighbors:
        """Return the `k` best documents of each query."""

    def scores(self, snapshot: Snapshot, queries: Queries, keys: Keys) -> Neighbors:
        """Score documents that were found elsewhere; see `Snapshot.scores`."""

    def notes(self, queries: Queries) -> Sequence[Sequence[str]]:
        """Return notes for each query on why nothing can be found for it."""

    def missing(self, snapshot: Snapshot, folder: Path) -> Sequence[str]:
        """Return notes on documents that cannot be found yet."""

    def depth(self) -> float:
        """Return how many documents it finds at least, where there are so many."""


@dataclass(frozen=True)
class _SingleIndex:
    """What finders of one index share."""

    name: str

    def missing(self, snapshot: Snapshot, folder: Path) -> Sequence[str]:
        """Return a note if documents are not in the index yet."""
        missing = snapshot.searchers.of(self.name).missing
        return (missing_note(folder, self.name, missing),) if missing else ()

    def depth(self) -> float:
        """Return infinity: it finds as many as are asked for."""
        return math.inf


@dataclass(frozen=True)
class DenseFinder(_SingleIndex):
    """An index of vectors, with the embedder of its queries; `exact` searches by brute force."""

    embedder: Embedder
    exact: bool = False

    def prepare(self, queries: Queries) -> None:
        """Encode the queries."""
        queries.vectors(self.embedder)

    def nearest(
        self, snapshot: Snapshot, queries: Queries, k: int, where: Filter | None = None
    ) -> Neighbors:
        """Return the `k` documents with the nearest vectors."""
        self._check(snapshot)
        vectors = queries.vectors(self.embedder)
        return snapshot.search(self.name, vectors, k, where=where, exact=self.exact)

    def scores(self, snapshot: Snapshot, queries: Queries, keys: Keys) -> Neighbors:
        """Return the cosines of given documents, from the stored vectors."""
        self._check(snapshot)
        return snapshot.scores(self.name, queries.vectors(self.embedder), keys)

    def notes(self, queries: Queries) -> Sequence[Sequence[str]]:
        """Return a note for each query with a zero vector: the embedder knows nothing in it."""
        vectors = queries.vectors(self.embedder)
        if len(vectors) == 1 and vectors.item(0):  # the usual case needs no more than one number
            return [()]
        known = np.any(vectors, axis=1).tolist()
        return [
            () if found else (_unknown(text, self.embedder.name),)
            for text, found in zip(queries.texts, known, strict=True)
        ]

    def _check(self, snapshot: Snapshot) -> None:
        """Raise if another process has built another index under this name."""
        view = snapshot.searchers.of(self.name)
        if not isinstance(view, VectorSearcher):
            raise MismatchError(f"Index '{self.name}' is a BM25 index now. Open it again.")
        check_query_embedder(view.index, view.embedding, self.embedder)


@dataclass(frozen=True)
class LexicalFinder(_SingleIndex):
    """A BM25 index; its queries are split into terms by `language`."""

    language: str

    def prepare(self, queries: Queries) -> None:
        """Split the queries into terms."""
        queries.terms(self.language)

    def nearest(
        self, snapshot: Snapshot, queries: Queries, k: int, where: Filter | None = None
    ) -> Neighbors:
        """Return the `k` documents with the best BM25; only those sharing a term with a query."""
        self._check(snapshot)
        found = snapshot.search(self.name, queries.terms(self.language), k, where=where)
        if where is None:
            queries.unanswered[self.name] = (found.keys == NO_KEY).all(axis=1).tolist()
        return found

    def scores(self, snapshot: Snapshot, queries: Queries, keys: Keys) -> Neighbors:
        """Return the BM25 of given documents; 0 where they share no term with the query."""
        self._check(snapshot)
        return snapshot.scores(self.name, queries.terms(self.language), keys)

    def notes(self, queries: Queries) -> Sequence[Sequence[str]]:
        """Return a note for each query that has no word, or none that any document has."""
        terms = queries.terms(self.language)
        nothing = queries.unanswered.get(self.name) or [False] * len(terms)
        notes = []
        for text, words, none in zip(queries.texts, terms, nothing, strict=True):
            what = "known word" if words else "word"
            notes.append((_unknown(text, self.name, what),) if none or not words else ())
        return notes

    def _check(self, snapshot: Snapshot) -> None:
        if snapshot.searchers.of(self.name).index.definition.get("language") != self.language:
            raise MismatchError(f"Index '{self.name}' has been rebuilt in another way.")


def _unknown(text: str, name: str, what: str = "known word") -> str:
    shown = text if len(text) <= 60 else f"{text[:57]}..."
    return f"No {what} in {shown!r}: {name} finds nothing for it."
