"""Finders: what searches an index for queries, over vectors or by BM25."""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from indexes.catalog.filters.conditions import Filter
from indexes.errors import MismatchError
from indexes.images import Image
from indexes.lexical.bm25 import READING
from indexes.lexical.options import LexicalOptions
from indexes.neighbors import NO_KEY, Keys, Neighbors, best, is_among
from indexes.search.snapshot import Snapshot
from indexes.search.vector_searcher import VectorSearcher
from retriever.advice import shell_command
from retriever.embedders.base import (
    IMAGE,
    TEXT,
    TEXT_ONLY,
    Embedder,
    ReportsCoverage,
    is_brief,
    modalities_of,
)
from retriever.indexing.fingerprints import check_query_embedder
from retriever.indexing.notes import missing_note
from retriever.search.matching import required
from retriever.search.options import ALL, ANY, PHRASE
from retriever.search.queries import Queries, Query, query_text

HAVING = {ALL: "all words of", PHRASE: "the phrase"}


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
        """Return notes on documents that cannot be found yet, or only by an earlier text."""

    def depth(self) -> float:
        """Return how many documents it finds at least, where there are so many."""

    def modalities(self) -> Sequence[str]:
        """Return by which kinds of queries, `text` or `image`, anything can be found."""


@dataclass(frozen=True)
class SingleIndex:
    """What finders of one index share."""

    name: str

    def missing(self, snapshot: Snapshot, folder: Path) -> Sequence[str]:
        """Return a note if documents are not in the index yet, or only by an earlier text."""
        view = snapshot.searcher(self.name)
        if not view.missing:
            return ()
        imported = isinstance(view, VectorSearcher) and bool(view.embedding.imported)
        note = missing_note(folder, self.name, view.missing, view.stale, imported=imported)
        return (note,)

    def depth(self) -> float:
        """Return infinity: it finds as many as are asked for."""
        return math.inf

    def _found(
        self,
        snapshot: Snapshot,
        queries: Queries,
        wanted: Any,
        k: int,
        where: Filter | None,
        *,
        exact: bool = False,
    ) -> Neighbors:
        """Return the `k` best documents, without those that the queries leave out."""
        if queries.left_out is None:
            return snapshot.search(self.name, wanted, k, where=where, exact=exact)
        more = k + len(queries.left_out)
        found = snapshot.search(self.name, wanted, more, where=where, exact=exact)
        hidden = is_among(snapshot.documents(found.keys), queries.left_out)
        return best(np.where(hidden, NO_KEY, found.keys), found.scores, k)


@dataclass(frozen=True)
class DenseFinder(SingleIndex):
    """An index of vectors, with the embedder of its queries; `exact` searches by brute force."""

    embedder: Embedder
    exact: bool = False
    # What was checked last: a state of the index, and the fingerprint that belongs to it.
    _checked: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def is_brief(self) -> bool:
        """Whether a query was found to compute mostly in Python; see `threads.IN_TURN`."""
        return bool(self._checked.get("brief"))

    def modalities(self) -> Sequence[str]:
        """Return what the embedder encodes."""
        return modalities_of(self.embedder)

    def prepare(self, queries: Queries) -> None:
        """Encode the queries."""
        queries.vectors(self.embedder)

    def nearest(
        self, snapshot: Snapshot, queries: Queries, k: int, where: Filter | None = None
    ) -> Neighbors:
        """Return the `k` documents with the nearest vectors."""
        self._check(snapshot)
        vectors = queries.vectors(self.embedder)
        return self._found(snapshot, queries, vectors, k, where, exact=self.exact)

    def scores(self, snapshot: Snapshot, queries: Queries, keys: Keys) -> Neighbors:
        """Return the scores of given documents, from the stored vectors."""
        self._check(snapshot)
        return snapshot.scores(self.name, queries.vectors(self.embedder), keys)

    def notes(self, queries: Queries) -> Sequence[Sequence[str]]:
        """Return a note for each query with a zero vector: the embedder knows nothing in it."""
        vectors = queries.vectors(self.embedder)
        if getattr(self.embedder, "guesses", False) and queries.like is None:
            return [self._notes_on(query) for query in queries.contents]
        if len(vectors) == 1 and vectors.item(0):  # the usual case needs no more than one number
            return [()]
        known = np.any(vectors, axis=1).tolist()
        what = "known word" if TEXT in self.modalities() else "image"
        if queries.like is not None:
            return [() if found else (_nothing_of(queries, self.name),) for found in known]
        return [
            () if found else (_unknown(query, self.embedder.name, what),)
            for query, found in zip(queries.contents, known, strict=True)
        ]

    def _notes_on(self, text: Query) -> Sequence[str]:
        """Return a note if an embedder that guesses unknown words knows none of a query's."""
        if isinstance(text, Image):
            return () if IMAGE in self.modalities() else (_unknown(text, self.embedder.name),)
        if not isinstance(self.embedder, ReportsCoverage):
            return ()
        read = self.embedder.report_queries([text])
        if read.known_words:
            return ()
        if not read.guessed_words:
            return (_unknown(text, self.embedder.name),)
        return (
            f"No known word in {_shown(text)}: {self.embedder.name} guesses what it means from its "
            "letters.",
        )

    def _check(self, snapshot: Snapshot) -> None:
        """Raise if another process has built another index under this name."""
        view = snapshot.searcher(self.name)
        fingerprint = self.embedder.fingerprint
        checked = self._checked.get("view")
        if checked and checked() is view and self._checked.get("by") is fingerprint:
            return
        if not isinstance(view, VectorSearcher):
            raise MismatchError(f"Index '{self.name}' is a BM25 index now. Open it again.")
        check_query_embedder(view.index, view.embedding, self.embedder)
        # Weak, so that the files of an index are closed when its searcher is dropped.
        brief = is_brief(self.embedder) and view.is_brief
        self._checked.update(view=weakref.ref(view), by=fingerprint, brief=brief)


@dataclass(frozen=True)
class LexicalFinder(SingleIndex):
    """A BM25 index; its queries are split into terms by `options`."""

    options: LexicalOptions

    def modalities(self) -> Sequence[str]:
        """Return `text` alone."""
        return TEXT_ONLY

    def prepare(self, queries: Queries) -> None:
        """Split the queries into terms."""
        queries.terms(self.options)

    def nearest(
        self, snapshot: Snapshot, queries: Queries, k: int, where: Filter | None = None
    ) -> Neighbors:
        """Return the `k` documents with the best BM25; only those sharing a term with a query."""
        self._check(snapshot)
        terms = queries.terms(self.options)
        if queries.matching != ANY:
            terms = required(snapshot, queries.contents, terms, self.options, queries.matching)
        found = self._found(snapshot, queries, terms, k, where)
        if where is None:
            queries.unanswered[self.name] = (found.keys == NO_KEY).all(axis=1).tolist()
        return found

    def scores(self, snapshot: Snapshot, queries: Queries, keys: Keys) -> Neighbors:
        """Return the BM25 of given documents; 0 where they share no term with the query."""
        self._check(snapshot)
        return snapshot.scores(self.name, queries.terms(self.options), keys)

    def notes(self, queries: Queries) -> Sequence[Sequence[str]]:
        """Return a note for each query that has no word, or none that any document has."""
        terms = queries.terms(self.options)
        nothing = queries.unanswered.get(self.name) or [False] * len(terms)
        notes = []
        for query, words, none in zip(queries.contents, terms, nothing, strict=True):
            what = "known word" if words else "word"
            if queries.like is not None:
                said = (_nothing_of(queries, self.name),)
            elif words and queries.matching != ANY:
                said = (f"No passage has {HAVING[queries.matching]} {_shown(query_text(query))}.",)
            else:
                said = (_unknown(query, self.name, what),)
            notes.append(said if none or not words else ())
        return notes

    def missing(self, snapshot: Snapshot, folder: Path) -> Sequence[str]:
        """Return notes if documents are not in the index yet, or were read in another way."""
        notes = SingleIndex.missing(self, snapshot, folder)
        if snapshot.searcher(self.name).index.definition.get("text") == READING:
            return notes
        run = shell_command("build", folder, self.name)
        note = f"Index '{self.name}' reads words beyond ASCII as an earlier version did. Run: {run}"
        return (*notes, note)

    def _check(self, snapshot: Snapshot) -> None:
        view = snapshot.searcher(self.name)
        if isinstance(view, VectorSearcher) or view.words.options != self.options:
            raise MismatchError(f"Index '{self.name}' has been rebuilt in another way.")


def _unknown(query: Query, name: str, what: str = "known word") -> str:
    if isinstance(query, Image):
        return f"{name} encodes only text: it finds nothing for the image {_shown(query.source)}."
    return f"No {what} in {_shown(query)}: {name} finds nothing for it."


def _nothing_of(queries: Queries, name: str) -> str:
    """Return a note on a query by documents of which an index has nothing to compare."""
    return (
        f"'{name}' has nothing of the documents to be like: no hit is {_shown(str(queries.like))}."
    )


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
