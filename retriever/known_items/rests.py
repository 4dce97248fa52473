"""The rests of documents, as passages and vectors, by the query that should find them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from indexes.errors import InputError
from indexes.neighbors import Keys
from indexes.search.snapshot import Snapshot
from indexes.vectors.shards import as_rows
from retriever.embedders.base import Embedder, Matrix
from retriever.indexing.embedder_pool import encode
from retriever.known_items.items import MadeQueries
from retriever.search.queries import Queries
from retriever.splitting import Splitter


@dataclass(frozen=True, eq=False)
class Rests:
    """What is left of the documents of some queries, split as the collection splits documents.

    A rest stands for its document: under the keys of that document's passages.
    """

    made: MadeQueries
    split: Splitter | None
    # By fingerprint, the vectors of all passages.
    _vectors: dict[str, Matrix] = field(default_factory=dict, repr=False)
    # Of one generation, the keys of each query's document.
    _keys: dict[str, Keys] = field(default_factory=dict, repr=False)
    _generation: list[int] = field(default_factory=list, repr=False)
    _passages: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    # The first passage's row in `_vectors` of each query's rest.
    _first: dict[str, int] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        rows = 0
        for query_id in self.made:
            rest = self.made.item(query_id).rest
            spans = self.split.spans(rest) if self.split else [(0, len(rest))]
            self._passages[query_id] = tuple(rest[start:end] for start, end in spans)
            self._first[query_id] = rows
            rows += len(spans)

    def passages(self, query_id: str) -> Sequence[str]:
        """Return the passages of the rest that a query should find."""
        return self._passages[query_id]

    def vectors(self, embedder: Embedder) -> Matrix:
        """Return the vectors of all passages, (rows, dim), by the embedder of documents."""
        known = self._vectors.get(embedder.fingerprint)
        if known is None:
            texts = [text for passages in self._passages.values() for text in passages]
            rows = as_rows(range(len(texts)), encode(embedder, texts)[0], embedder.dim)
            known = self._vectors[embedder.fingerprint] = rows
        return known

    def rows(self, query_ids: Sequence[str]) -> NDArray[np.int64]:
        """Return the rows of `vectors` of each query's rest, (queries, most); -1 for no more."""
        most = max((len(self._passages[one]) for one in query_ids), default=0)
        out = np.full((len(query_ids), most), -1)
        for place, query_id in enumerate(query_ids):
            count, first = len(self._passages[query_id]), self._first[query_id]
            out[place, :count] = np.arange(first, first + count)
        return out

    def keys(self, snapshot: Snapshot, query_ids: Sequence[str]) -> list[Keys]:
        """Return the keys of all passages of each query's document, ascending, stale ones too."""
        if self._generation != [snapshot.generation]:
            self._keys.clear()
            self._keys.update(self._read(snapshot))
            self._generation[:] = [snapshot.generation]
        return [self._keys[query_id] for query_id in query_ids]

    def _read(self, snapshot: Snapshot) -> dict[str, Keys]:
        doc_ids = [self.made.item(query_id).doc_id for query_id in self.made]
        numbers = snapshot.corpus.numbers_of(doc_ids)
        for doc_id in doc_ids:
            if doc_id not in numbers:
                raise InputError(
                    f"A query was made of document '{doc_id}', which the collection does not have. "
                    "Make the queries again: --queries made:300 (make_queries)."
                )
        every = np.array(sorted(set(numbers.values())), np.int64)
        keys, owners = snapshot.corpus.passages_of(every)
        return {
            query_id: keys[owners == numbers[self.made.item(query_id).doc_id]]
            for query_id in self.made
        }


def ids_of(queries: Queries) -> Sequence[str]:
    """Return the ids of queries, which say what each should find."""
    if queries.ids is None:
        raise InputError(
            "Known items are found by queries with ids: run a mapping of ids to texts."
        )
    return queries.ids
