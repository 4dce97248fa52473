"""Ask an index: hits with their text, notes on what stood in the way, and where the time went."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from indexes.catalog.filters import Filter
from indexes.catalog.passages import FoundPassage
from indexes.errors import InputError
from indexes.neighbors import Neighbors, validate_k
from indexes.search.snapshot import Snapshot
from indexes.store import Store
from retriever.search.finders import Finder, Queries
from retriever.search.no_match import nothing_fits
from retriever.search.results import Answer, Hit, Hits, Run, Timing
from retriever.search.where import filter_of


@dataclass(frozen=True)
class Retriever:
    """A named way to answer queries: an index with its embedder, BM25, or a combination of some.

    Queries are always answered in batches underneath; the methods for one are the same with one.
    """

    finder: Finder
    _store: Store

    @property
    def name(self) -> str:
        """What it is called in its collection."""
        return self.finder.name

    def search(self, text: str, k: int = 10, *, where: Mapping[str, Any] | None = None) -> Hits:
        """The `k` best documents for one query; see `search_many`."""
        return self.search_many([text], k, where=where)[0]

    def search_many(
        self, texts: Sequence[str], k: int = 10, *, where: Mapping[str, Any] | None = None
    ) -> list[Hits]:
        """The `k` best documents for each query, in the order of the queries.

        `where` is a filter on metadata, see `where.filter_of`. Fewer than `k` documents give all
        that the index can find; BM25 finds only those that share a word with the query. A query
        without a known word gets no hits, and a note that says so; so does a filter that no
        document fits.

        Raises:
            InputError: an empty query, a `k` below 1, or a filter that cannot be read.
            MismatchError: the index has been built anew with another model meanwhile.
            DamageError: a file of the index is not what the catalog says.
        """
        return self.answer(texts, k, where=where)[0]

    def answer(
        self, texts: Sequence[str], k: int = 10, *, where: Mapping[str, Any] | None = None
    ) -> tuple[list[Hits], Timing]:
        """`search_many`, and the time that its three steps took."""
        queries, wanted, encoding = self._prepared(texts, k, where)
        hits, searching, fetching = self._store.read(
            lambda snapshot: self._found(snapshot, queries, k, wanted)
        )
        return hits, Timing(encoding, searching, fetching)

    def answer_at(
        self,
        generation: int,
        texts: Sequence[str],
        k: int,
        *,
        where: Mapping[str, Any] | None = None,
    ) -> list[Hits] | None:
        """`search_many`, where the collection is still at a generation; else None.

        So who keeps a retriever need not ask for the generation first, in another transaction.
        """
        queries, wanted, _ = self._prepared(texts, k, where)

        def question(snapshot: Snapshot) -> list[Hits] | None:
            if snapshot.generation != generation:
                return None
            return self._found(snapshot, queries, k, wanted)[0]

        return self._store.read(question)

    def _prepared(
        self, texts: Sequence[str], k: int, where: Mapping[str, Any] | None
    ) -> tuple[Queries, Filter | None, float]:
        """What is asked, checked and encoded, and the seconds that this took."""
        started = time.perf_counter()
        queries = Queries(validate_texts(texts))
        validate_k(k)
        wanted = None if where is None else filter_of(where)
        self.finder.prepare(queries)
        return queries, wanted, time.perf_counter() - started

    def _found(
        self, snapshot: Snapshot, queries: Queries, k: int, where: Filter | None
    ) -> tuple[list[Hits], float, float]:
        """The hits, and the seconds of searching and of fetching."""
        started = time.perf_counter()
        neighbors = self.finder.nearest(snapshot, queries, k, where)
        searched = time.perf_counter()
        hits = self._hits(snapshot, neighbors, queries, where)
        return hits, searched - started, time.perf_counter() - searched

    def run(self, queries: Mapping[str, str], k: int) -> Run:
        """The `k` best documents of every query, by query id, without fetching any text.

        Errors as in `search_many`.
        """
        return self.encode_and_run(queries, k)[1]

    def encode_and_run(self, queries: Mapping[str, str], k: int) -> tuple[Queries, Run]:
        """`run`, and the encoded queries, for another to rank."""
        started = time.perf_counter()
        asked = Queries(validate_texts(list(queries.values())))
        validate_k(k)
        self.finder.prepare(asked)
        encoding = Timing(time.perf_counter() - started)
        run = self.rank(list(queries), asked, k)
        return asked, replace(run, timing=encoding + run.timing)

    def rank(self, query_ids: Sequence[str], queries: Queries, k: int) -> Run:
        """`run` for queries that are encoded already, under their ids."""
        started = time.perf_counter()

        def question(snapshot: Snapshot) -> tuple[list[Answer], dict[int, str], float]:
            neighbors = self.finder.nearest(snapshot, queries, k)
            searched = time.perf_counter()
            lists = list(neighbors.lists())
            return lists, snapshot.doc_ids(_distinct(lists)), searched

        lists, doc_ids, searched = self._store.read(question)
        ranking = {
            query_id: [(doc_ids[key], score) for key, score in zip(keys, scores, strict=True)]
            for query_id, (keys, scores) in zip(query_ids, lists, strict=True)
        }
        timing = Timing(0.0, searched - started, time.perf_counter() - searched)
        return Run(self.name, k, ranking, timing)

    def _hits(
        self, snapshot: Snapshot, neighbors: Neighbors, queries: Queries, where: Filter | None
    ) -> list[Hits]:
        lists = list(neighbors.lists())
        found = snapshot.found(_distinct(lists))
        for_all = tuple(self.finder.missing(snapshot, self._store.folder))
        if where is not None and not found and not snapshot.lets_through(where):
            for_all = (nothing_fits(snapshot.lets_through, where), *for_all)
        answers = []
        for notes, (keys, scores) in zip(self.finder.notes(queries), lists, strict=True):
            passages = map(found.__getitem__, keys)
            hits = tuple(map(_hit, range(1, len(keys) + 1), scores, passages))
            answers.append(Hits(hits, (*notes, *for_all)))
        return answers


def validate_texts(texts: Iterable[str]) -> list[str]:
    """The queries as a list, when each of them has some text.

    Raises:
        InputError: one is not text or is empty; says which.
    """
    if isinstance(texts, str):
        raise InputError("Queries are one text; expected a list of texts. Use search for one.")
    if type(texts) is not list and (isinstance(texts, Mapping) or not isinstance(texts, Iterable)):
        raise InputError(f"Queries are {type(texts).__name__}; expected a list of texts.")
    texts = list(texts)
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"Query {position} is {type(text).__name__}; expected text.")
        if not text.strip():
            which = "The query" if len(texts) == 1 else f"Query {position}"
            raise InputError(f"{which} is empty. Give some text to search for.")
    return texts


def _distinct(answers: Sequence[Answer]) -> list[int]:
    """Each key once, ascending. (`np.unique` brings in masked arrays, 8 ms at the first search.)"""
    return sorted({key for keys, _ in answers for key in keys})


def _hit(rank: int, score: float, passage: FoundPassage) -> Hit:
    """`Hit(...)`, in a third of the time: a frozen dataclass sets its fields one by one."""
    _, document, start, end = passage
    hit = object.__new__(Hit)
    fields = hit.__dict__
    fields["rank"] = rank
    fields["doc_id"] = document.doc_id
    fields["score"] = score
    fields["text"] = document.text[start:end]
    fields["title"] = document.title
    fields["metadata"] = document.metadata
    fields["passage"] = start, end
    return hit
