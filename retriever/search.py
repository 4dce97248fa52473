"""Ask an index: hits with their text, notes on what stood in the way, and where the time went."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, overload

import numpy as np

from indexes.errors import InputError
from indexes.filters import Filter
from indexes.neighbours import Neighbours
from indexes.store import Snapshot, Store
from retriever.embedders.base import Embedder, Matrix
from retriever.formats import read_run, write_run
from retriever.info import missing_note
from retriever.nothingfits import nothing_fits
from retriever.provenance import check_same
from retriever.where import filter_of

__all__ = ["DenseRetriever", "Hit", "Hits", "Run", "Timing", "checked_texts"]


@dataclass(frozen=True)
class Hit:
    """A document that was found: `rank` counts from 1, a higher `score` is better.

    `text` is the passage that was found, and `passage` where it stands in the document's text, as
    (start, end) in characters; a document that is not split is one passage.
    """

    rank: int
    doc_id: str
    score: float
    text: str
    title: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    passage: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Hits(Sequence[Hit]):
    """The hits of one query, best first, and notes for the person who asked."""

    hits: tuple[Hit, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.hits)

    @overload
    def __getitem__(self, at: int) -> Hit: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Hit, ...]: ...
    def __getitem__(self, at: int | slice) -> Hit | tuple[Hit, ...]:
        return self.hits[at]


@dataclass(frozen=True)
class Timing:
    """Seconds that some queries took, apart: encoding, searching, fetching text from SQLite."""

    encoding: float = 0.0
    searching: float = 0.0
    fetching: float = 0.0

    @property
    def total(self) -> float:
        """All three together."""
        return self.encoding + self.searching + self.fetching

    def __add__(self, other: Timing) -> Timing:
        return Timing(
            self.encoding + other.encoding,
            self.searching + other.searching,
            self.fetching + other.fetching,
        )


@dataclass(frozen=True)
class Run:
    """What one retriever answered to a set of queries: TREC's run, and the time of the batch.

    `ranking` maps a query id to (doc_id, score), best first, at most `k` of them.
    """

    name: str
    k: int
    ranking: Mapping[str, Sequence[tuple[str, float]]]
    timing: Timing = Timing()

    def write(self, path: Path) -> None:
        """Write the run in TREC's six columns; see `formats.write_run` for errors."""
        write_run(path, self.ranking, self.name)

    @classmethod
    def read(cls, path: Path, name: str = "") -> Run:
        """A run from a TREC file, called `name` or else as the file."""
        ranking = read_run(path)
        longest = max(map(len, ranking.values()), default=0)
        return cls(name or path.stem, longest, ranking)


@dataclass(frozen=True)
class DenseRetriever:
    """An index together with the embedder that made its vectors.

    Queries are always answered in batches underneath; the methods for one are the same with one.
    """

    name: str
    embedder: Embedder
    _store: Store

    def search(self, text: str, k: int = 10, *, where: Mapping[str, Any] | None = None) -> Hits:
        """The `k` documents nearest to one query; see `search_many`."""
        return self.search_many([text], k, where=where)[0]

    def search_many(
        self, texts: Sequence[str], k: int = 10, *, where: Mapping[str, Any] | None = None
    ) -> list[Hits]:
        """The `k` documents nearest to each query, in the order of the queries.

        `where` is a filter on metadata, see `where.filter_of`. Fewer than `k` documents give all
        that the index can find. A query without a known word gets no hits, and a note that says so;
        so does a filter that no document fits.

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
        started = time.perf_counter()
        texts = checked_texts(texts)
        wanted = None if where is None else filter_of(where)
        queries = self.embedder.encode_queries(texts)
        encoded = time.perf_counter()

        def question(snapshot: Snapshot) -> tuple[list[Hits], float, float]:
            started = time.perf_counter()
            neighbours = self._nearest(snapshot, queries, k, wanted)
            searched = time.perf_counter()
            hits = self._hits(snapshot, neighbours, texts, queries, wanted)
            return hits, searched - started, time.perf_counter() - searched

        hits, searching, fetching = self._store.ask(question)
        return hits, Timing(encoded - started, searching, fetching)

    def encode(self, texts: Sequence[str]) -> Matrix:
        """The vectors of queries (len(texts), dim); errors as in `search_many`."""
        return self.embedder.encode_queries(checked_texts(texts))

    def rank(self, query_ids: Sequence[str], vectors: Matrix, k: int) -> Run:
        """The `k` best documents of queries that are encoded already, without fetching any text."""

        def question(snapshot: Snapshot) -> tuple[Neighbours, dict[int, str], float]:
            neighbours = self._nearest(snapshot, vectors, k)
            searched = time.perf_counter()
            return neighbours, snapshot.doc_ids(np.unique(neighbours.keys).tolist()), searched

        started = time.perf_counter()
        neighbours, doc_ids, searched = self._store.ask(question)
        ranking = {
            query_id: [
                (doc_ids[key], score)
                for key, score in zip(keys.tolist(), scores.tolist(), strict=True)
            ]
            for query_id, (keys, scores) in zip(query_ids, neighbours, strict=True)
        }
        timing = Timing(0.0, searched - started, time.perf_counter() - searched)
        return Run(self.name, k, ranking, timing)

    def run(self, queries: Mapping[str, str], k: int) -> Run:
        """The `k` best documents of every query, by query id; errors as in `search_many`."""
        started = time.perf_counter()
        vectors = self.encode(list(queries.values()))
        encoding = Timing(time.perf_counter() - started)
        run = self.rank(list(queries), vectors, k)
        return replace(run, timing=encoding + run.timing)

    def scores(self, vectors: Matrix, k: int) -> tuple[list[list[float]], list[list[float]]]:
        """The scores that the index finds for some queries, and those of the true `k` nearest."""

        def question(snapshot: Snapshot) -> tuple[Neighbours, Neighbours]:
            exact = self._nearest(snapshot, vectors, k, exact=True)
            return self._nearest(snapshot, vectors, k), exact

        found, exact = self._store.ask(question)
        return [s.tolist() for _, s in found], [s.tolist() for _, s in exact]

    def _nearest(
        self,
        snapshot: Snapshot,
        queries: Matrix,
        k: int,
        where: Filter | None = None,
        *,
        exact: bool = False,
    ) -> Neighbours:
        # Another process may have dropped the index and built it anew with another model.
        check_same(self.name, snapshot.view(self.name).embedding, self.embedder)
        return snapshot.search(self.name, queries, k, where=where, exact=exact)

    def _hits(
        self,
        snapshot: Snapshot,
        neighbours: Neighbours,
        texts: Sequence[str],
        queries: Matrix,
        where: Filter | None,
    ) -> list[Hits]:
        found = snapshot.found(np.unique(neighbours.keys).tolist())
        for_all = self._missing_note(snapshot)
        if where is not None and not found and not snapshot.lets_through(where):
            for_all = (nothing_fits(snapshot.lets_through, where), *for_all)
        unknown = [not query.any() for query in queries]
        answers = []
        for text, nothing, (keys, scores) in zip(texts, unknown, neighbours, strict=True):
            hits = tuple(
                _hit(rank, score, found[key])
                for rank, (key, score) in enumerate(
                    zip(keys.tolist(), scores.tolist(), strict=True), start=1
                )
            )
            notes = (self._unknown_note(text), *for_all) if nothing else for_all
            answers.append(Hits(hits, notes))
        return answers

    def _missing_note(self, snapshot: Snapshot) -> tuple[str, ...]:
        missing = snapshot.view(self.name).missing
        return (missing_note(self._store.folder, self.name, missing),) if missing else ()

    def _unknown_note(self, text: str) -> str:
        shown = text if len(text) <= 60 else f"{text[:57]}..."
        return f"No known word in {shown!r}: {self.embedder.name} finds nothing for it."


def checked_texts(texts: Iterable[str]) -> list[str]:
    """The queries as a list, when each of them has some text.

    Raises:
        InputError: one is not text or is empty; says which.
    """
    if isinstance(texts, str):
        raise InputError("Queries are one text; expected a list of texts. Use search for one.")
    if isinstance(texts, Mapping) or not isinstance(texts, Iterable):
        raise InputError(f"Queries are {type(texts).__name__}; expected a list of texts.")
    texts = list(texts)
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"Query {position} is {type(text).__name__}; expected text.")
        if not text.strip():
            which = "The query" if len(texts) == 1 else f"Query {position}"
            raise InputError(f"{which} is empty. Give some text to search for.")
    return texts


def _hit(rank: int, score: float, passage: Any) -> Hit:
    document = passage.document
    return Hit(
        rank=rank,
        doc_id=document.doc_id,
        score=score,
        text=document.text[passage.start : passage.end],
        title=document.title,
        metadata=document.metadata,
        passage=(passage.start, passage.end),
    )
