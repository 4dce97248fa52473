"""What finds documents for queries: an index of vectors, or one of words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from indexes.catalog.filters import Filter
from indexes.errors import MismatchError
from indexes.lexical.bm25 import Terms, terms_of
from indexes.neighbors import Keys, Neighbors
from indexes.search.searchers import VectorSearcher
from indexes.search.snapshot import Snapshot
from retriever.embedders.base import Embedder, Matrix
from retriever.indexing.fingerprints import check_answers
from retriever.indexing.info import missing_note


class Queries:
    """Some queries, and what each embedder and each language has made of them, made once."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts
        self._vectors: dict[str, Matrix] = {}
        self._terms: dict[str, Sequence[Terms]] = {}

    def __len__(self) -> int:
        return len(self.texts)

    def vectors(self, embedder: Embedder) -> Matrix:
        """Their vectors (len(texts), dim) by an embedder."""
        name = embedder.fingerprint
        if name not in self._vectors:
            self._vectors[name] = embedder.encode_queries(self.texts)
        return self._vectors[name]

    def terms(self, language: str) -> Sequence[Terms]:
        """The terms of each, as they stand in an index of that language."""
        if language not in self._terms:
            self._terms[language] = [terms_of(text, language) for text in self.texts]
        return self._terms[language]


class Finder(Protocol):
    """Finds documents: keys of passages with scores, a document once, by its best passage."""

    @property
    def name(self) -> str:
        """What it is called in its collection."""

    def prepare(self, queries: Queries) -> None:
        """Encode the queries in every way that it needs: the dear part, timed apart."""

    def nearest(
        self, snapshot: Snapshot, queries: Queries, k: int, where: Filter | None = None
    ) -> Neighbors:
        """The `k` best documents of each query."""

    def scores(self, snapshot: Snapshot, queries: Queries, keys: Keys) -> Neighbors:
        """What it makes of documents that were found elsewhere; see `Snapshot.scores`."""

    def notes(self, queries: Queries) -> Sequence[Sequence[str]]:
        """For each query, what stands in the way of finding anything."""

    def missing(self, snapshot: Snapshot, folder: Path) -> Sequence[str]:
        """Notes on documents that cannot be found yet."""


@dataclass(frozen=True)
class DenseFinder:
    """An index of vectors, with the embedder that encodes its queries: most often the one that made
    the vectors. `exact` searches by brute force.
    """

    name: str
    embedder: Embedder
    exact: bool = False

    def prepare(self, queries: Queries) -> None:
        """Encode the queries."""
        queries.vectors(self.embedder)

    def nearest(
        self, snapshot: Snapshot, queries: Queries, k: int, where: Filter | None = None
    ) -> Neighbors:
        """The `k` documents whose vectors are nearest."""
        self._check(snapshot)
        vectors = queries.vectors(self.embedder)
        return snapshot.search(self.name, vectors, k, where=where, exact=self.exact)

    def scores(self, snapshot: Snapshot, queries: Queries, keys: Keys) -> Neighbors:
        """The cosines of given documents, from the stored vectors."""
        self._check(snapshot)
        return snapshot.scores(self.name, queries.vectors(self.embedder), keys)

    def notes(self, queries: Queries) -> Sequence[Sequence[str]]:
        """Says of a query of zeros that nothing in it is known."""
        vectors = queries.vectors(self.embedder)
        if len(vectors) == 1 and vectors.item(0):  # the usual case needs no more than one number
            return [()]
        known = np.any(vectors, axis=1).tolist()
        return [
            () if found else (_unknown(text, f"{self.embedder.name} finds nothing for it"),)
            for text, found in zip(queries.texts, known, strict=True)
        ]

    def missing(self, snapshot: Snapshot, folder: Path) -> Sequence[str]:
        """Says how many documents are not embedded yet."""
        return _missing(snapshot, folder, self.name)

    def _check(self, snapshot: Snapshot) -> None:
        """Another process may have dropped the index and built another under its name."""
        view = snapshot.view(self.name)
        if not isinstance(view, VectorSearcher):
            raise MismatchError(f"Index '{self.name}' is one of words now. Open it again.")
        check_answers(view.index, view.embedding, self.embedder)


@dataclass(frozen=True)
class LexicalFinder:
    """An index of words, ranked by BM25."""

    name: str
    language: str

    def prepare(self, queries: Queries) -> None:
        """Split the queries into terms."""
        queries.terms(self.language)

    def nearest(
        self, snapshot: Snapshot, queries: Queries, k: int, where: Filter | None = None
    ) -> Neighbors:
        """The `k` documents with the best BM25; only those that share a term with the query."""
        self._check(snapshot)
        return snapshot.search(self.name, queries.terms(self.language), k, where=where)

    def scores(self, snapshot: Snapshot, queries: Queries, keys: Keys) -> Neighbors:
        """The BM25 of given documents; 0 where they share no term with the query."""
        self._check(snapshot)
        return snapshot.scores(self.name, queries.terms(self.language), keys)

    def notes(self, queries: Queries) -> Sequence[Sequence[str]]:
        """Says of a query that there is no word in it."""
        return [
            () if terms else (_unknown(text, f"{self.name} finds nothing for it", "word"),)
            for text, terms in zip(queries.texts, queries.terms(self.language), strict=True)
        ]

    def missing(self, snapshot: Snapshot, folder: Path) -> Sequence[str]:
        """Says how many documents were not read yet."""
        return _missing(snapshot, folder, self.name)

    def _check(self, snapshot: Snapshot) -> None:
        index = snapshot.view(self.name).index
        if index.definition.get("language") != self.language:
            raise MismatchError(f"Index '{self.name}' has been built anew, in another way.")


def _missing(snapshot: Snapshot, folder: Path, name: str) -> Sequence[str]:
    missing = snapshot.view(name).missing
    return (missing_note(folder, name, missing),) if missing else ()


def _unknown(text: str, so: str, what: str = "known word") -> str:
    shown = text if len(text) <= 60 else f"{text[:57]}..."
    return f"No {what} in {shown!r}: {so}."
