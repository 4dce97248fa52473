"""Queries answered by an index: hits with their text, notes and timings."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property

from indexes import threads
from indexes.catalog.corpus import Corpus
from indexes.catalog.filters.conditions import Filter
from indexes.catalog.filters.field_names import dotted_fields
from indexes.errors import InputError, check_text, pluralize
from indexes.neighbors import Neighbors, validate_k
from indexes.search.snapshot import Snapshot
from indexes.store import Store
from retriever.embedders.base import IMAGE
from retriever.indexing.notes import lost_notes
from retriever.search.combinations.hybrid import part_with_vectors
from retriever.search.diversity import diverse
from retriever.search.filter_notes import filter_notes
from retriever.search.finders import DenseFinder, Finder
from retriever.search.like import Like, like_queries
from retriever.search.matching import refuse_vectors
from retriever.search.options import ANY, PLAIN, SearchOptions
from retriever.search.queries import VECTOR, AnyQuery, Queries, Query, validate_queries
from retriever.search.results import Answer, Hits, Run, Timing
from retriever.search.where import Where
from retriever.search.where_parser import filter_of

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Retriever:
    """An index ready to search: vectors with their embedder, BM25, or a combination of indexes."""

    finder: Finder
    _store: Store

    @property
    def name(self) -> str:
        """Name of the index."""
        return self.finder.name

    def search(
        self,
        text: AnyQuery,
        k: int = 10,
        *,
        where: Where | None = None,
        options: SearchOptions = PLAIN,
    ) -> Hits:
        """Return the `k` best documents for one query; see `search_many`."""
        return self.search_many([text], k, where=where, options=options)[0]

    def search_many(
        self,
        texts: Sequence[AnyQuery],
        k: int = 10,
        *,
        where: Where | None = None,
        options: SearchOptions = PLAIN,
    ) -> list[Hits]:
        """Return the `k` best documents for each query, in order; errors as in `Collection.search`.

        `where` is a filter on metadata; see `where_parser.filter_of`. With fewer than `k`
        documents, all that the index can find are returned; BM25 finds only those that share a word
        with the query. A query without a known word gets no hits and a note that says so; so does a
        filter that no document matches.
        """
        return self.answer(texts, k, where=where, options=options)[0]

    def answer(
        self,
        texts: Sequence[AnyQuery],
        k: int = 10,
        *,
        where: Where | None = None,
        options: SearchOptions = PLAIN,
    ) -> tuple[list[Hits], Timing]:
        """Return what `search_many` returns, with the time of its stages."""
        with self._turn(alone=isinstance(texts, list) and len(texts) == 1):
            return self._answer(texts, k, where, options)

    def _turn(self, *, alone: bool = True) -> AbstractContextManager[object]:
        """Return what to hold while queries are answered: for a brief one alone, its turn."""
        brief = alone and isinstance(self.finder, DenseFinder) and self.finder.is_brief
        return threads.IN_TURN if brief else nullcontext()

    def _answer(
        self, texts: Sequence[AnyQuery], k: int, where: Where | None, options: SearchOptions
    ) -> tuple[list[Hits], Timing]:
        queries, wanted, encoding = self._prepare(texts, k, where)
        self._restrict(queries, options)

        def read(snapshot: Snapshot) -> tuple[list[Hits], Timing]:
            started = time.perf_counter()
            neighbors = self._nearest(snapshot, queries, k, wanted, options)
            searched = time.perf_counter()
            hits = self._hits(snapshot, neighbors, queries, wanted, k)
            return hits, Timing(encoding, searched - started, time.perf_counter() - searched)

        return self._store.read(read)

    def search_like(
        self, like: Like, k: int, *, where: Where | None = None, options: SearchOptions = PLAIN
    ) -> Hits:
        """Return the `k` documents that are most like some others; see `like_queries`."""
        validate_k(k)
        wanted = None if where is None else filter_of(where)

        def read(snapshot: Snapshot) -> Hits:
            queries = like_queries(snapshot, self.finder, like)
            self._restrict(queries, options)
            neighbors = self._nearest(snapshot, queries, k, wanted, options)
            return self._hits(snapshot, neighbors, queries, wanted, k)[0]

        return self._store.read(read)

    def _nearest(
        self,
        snapshot: Snapshot,
        queries: Queries,
        k: int,
        where: Filter | None,
        options: SearchOptions,
    ) -> Neighbors:
        if options.mmr is None:
            return self.finder.nearest(snapshot, queries, k, where)
        return diverse(snapshot, self.finder, queries, k, where, options.mmr)

    def _restrict(self, queries: Queries, options: SearchOptions) -> None:
        """Have queries match by all of their words, or as phrases, if the options say so."""
        if options.matching == ANY:
            return
        if queries.like is not None:
            raise InputError("all_words and phrase are for a text to search by, not for like.")
        if (part := part_with_vectors(self.finder)) is not None:
            raise refuse_vectors(self.name, part)
        queries.matching = options.matching

    def search_at(
        self, generation: int, text: AnyQuery, k: int, where: Where | None
    ) -> Hits | None:
        """Return what `search` returns, or None if the collection has left this generation.

        A caller that caches a retriever thus saves a transaction to read the generation.
        """
        with self._turn():
            queries, wanted, _ = self._prepare([text], k, where)

            def read(snapshot: Snapshot) -> Hits | None:
                if snapshot.generation != generation:
                    return None
                neighbors = self.finder.nearest(snapshot, queries, k, wanted)
                return self._hits(snapshot, neighbors, queries, wanted, k)[0]

            return self._store.read(read)

    def _prepare(
        self,
        texts: Sequence[AnyQuery],
        k: int,
        where: Where | None = None,
        ids: Sequence[str] | None = None,
    ) -> tuple[Queries, Filter | None, float]:
        """Validate and encode the queries; return them, the filter, and the seconds spent."""
        started = time.perf_counter()
        queries = Queries(validate_queries(texts, ids), ids)
        self.check_takes(queries)
        validate_k(k)
        wanted = None if where is None else filter_of(where)
        self.finder.prepare(queries)
        return queries, wanted, time.perf_counter() - started

    def check_takes(self, queries: Queries) -> None:
        """Check that the index can be searched by these kinds of queries.

        Raises:
            InputError: there is an image among them and it encodes only text, or the reverse.
        """
        lacking = queries.modalities - self._takes
        if not lacking:
            return
        if VECTOR in lacking:
            raise InputError(
                f"'{self.name}' cannot be searched by a vector: it is no index of vectors. Choose "
                "one of the model that made the vector."
            )
        if IMAGE in lacking:
            raise InputError(
                f"Index '{self.name}' encodes only text: it cannot be searched by an image. Choose "
                "an index of a model that takes images, such as CLIP, or search by text."
            )
        raise InputError(
            f"Index '{self.name}' encodes no text: it cannot be searched by one. Choose an "
            "index of a model that takes text, or search by an image."
        )

    @cached_property
    def _takes(self) -> frozenset[str]:
        """The kinds of queries that the index can be searched by."""
        return frozenset(self.finder.modalities())

    def run(self, queries: Mapping[str, Query], k: int) -> Run:
        """Return the `k` best documents of every query id, without texts; see `search_many`."""
        return self.encode_and_run(queries, k)[1]

    def encode_and_run(self, queries: Mapping[str, Query], k: int) -> tuple[Queries, Run]:
        """Return the encoded queries, for another retriever to rank, and what `run` returns."""
        encoded, _, encoding = self._prepare(list(queries.values()), k, ids=list(queries))
        return encoded, self.rank(list(queries), encoded, k, encoding=encoding)

    def rank(
        self, query_ids: Sequence[str], queries: Queries, k: int, *, encoding: float = 0.0
    ) -> Run:
        """Return what `run` returns, for queries that took `encoding` seconds to encode."""
        started = time.perf_counter()

        def read(snapshot: Snapshot) -> tuple[list[Answer], dict[int, str], float]:
            neighbors = self.finder.nearest(snapshot, queries, k)
            searched = time.perf_counter()
            lists = list(neighbors.lists())
            return lists, snapshot.corpus.doc_ids(_distinct(lists)), searched

        lists, doc_ids, searched = self._store.read(read)
        ranking = {
            query_id: [(doc_ids[key], score) for key, score in zip(keys, scores, strict=True)]
            for query_id, (keys, scores) in zip(query_ids, lists, strict=True)
        }
        timing = Timing(encoding, searched - started, time.perf_counter() - searched)
        return Run(self.name, k, ranking, timing)

    def _hits(
        self,
        snapshot: Snapshot,
        neighbors: Neighbors,
        queries: Queries,
        where: Filter | None,
        k: int,
    ) -> list[Hits]:
        if _LOG.isEnabledFor(logging.DEBUG):
            count = pluralize(len(queries.contents), "query", "queries")
            _LOG.debug("%s: searched '%s' for %s, k %d", self._store.folder, self.name, count, k)
        lists = list(neighbors.lists())
        found = snapshot.found(lists[0][0] if len(lists) == 1 else _distinct(lists))
        for_all = tuple(self.finder.missing(snapshot, self._store.folder))
        if self._store.has_lost_commits:
            for_all = (*lost_notes(self._store), *for_all)
        if where is not None:
            for_all = (*_notes_on(snapshot, where), *for_all)
        answers = []
        for notes, (keys, scores) in zip(self.finder.notes(queries), lists, strict=True):
            if len(keys) < k and (depth := self.finder.depth()) <= len(keys):
                notes = (*notes, _depth_note(self.name, len(keys), k, depth))
            passages = list(map(found.__getitem__, keys))
            answers.append(Hits.of(scores, passages, (*notes, *for_all)))
        return answers


# By index (None: where none is named), with the generation of the collection at which it was made.
KeptRetrievers = dict[str | None, tuple[int, Retriever]]


def kept_at(
    generation: int, kept: KeptRetrievers, index: str | None, make: Callable[[], Retriever]
) -> Retriever:
    """Return the retriever that is kept of an index since a generation, or else make and keep one.

    Looking up an index takes as long as a search.
    """
    if index is not None:
        check_text("The name of an index", index)
    known = kept.get(index)
    if known is None or known[0] != generation:
        known = kept[index] = generation, make()
    return known[1]


def _notes_on(snapshot: Snapshot, where: Filter) -> tuple[str, ...]:
    def make(corpus: Corpus) -> tuple[str, ...]:
        return filter_notes(corpus.any_match, where, corpus.some_fields)

    # Dots and quotation marks may give equal filters, of which only one is ambiguous.
    return snapshot.notes_on(f"{where.key} {dotted_fields(where)}", make)


def _depth_note(name: str, found: int, k: int, depth: float) -> str:
    return (
        f"'{name}' found {found:,} of {k:,}: its parts return {depth:,.0f} documents each"
        " (its depth). For more, combine them with a larger depth."
    )


def _distinct(answers: Sequence[Answer]) -> list[int]:
    """Return each key once, ascending. (`np.unique` imports masked arrays: 8 ms at first use.)"""
    return sorted({key for keys, _ in answers for key in keys})
