"""Indexes of ours over stored vectors, at two levels: the searcher, and `Collection.search`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ann.system import Rows, Search, System
from benchmarks.ann.vectors import Matrix, Vectors
from indexes.store import Store
from indexes.vectors.tuning import tune
from retriever import Collection, Document

__all__ = ["Ours", "Whole", "stored"]

GIVEN = "given"


class Given:
    """The embedder of a collection whose vectors are known: by a text's place or the text."""

    name = "given"
    fingerprint = json.dumps({"given": "benchmarks.ann"})

    def __init__(self, vectors: Vectors) -> None:
        self.dim = vectors.documents.shape[1]
        self._documents = dict(zip(vectors.texts, vectors.documents, strict=True))
        self._queries = dict(zip(vectors.asked, vectors.queries, strict=True))

    def encode_documents(self, texts: Sequence[str]) -> Matrix:
        return np.stack([self._documents[text] for text in texts])

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        return np.stack([self._queries[text] for text in texts])


def stored(folder: Path, vectors: Vectors) -> None:
    """Store the documents and their vectors in a collection, searched exactly."""
    if not folder.exists():
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        with Collection.create(part) as library:
            library.add(Document(str(row), text) for row, text in enumerate(vectors.texts))
            library.build(GIVEN, Given(vectors), ann="exact")
        part.rename(folder)


class Ours(System):
    """An index of ours over stored vectors, at the level of its searcher.

    Its search parameters are chosen by `tune` for the queries.
    """

    def __init__(self, name: str, folder: Path, library: Path, ann: str) -> None:
        super().__init__(name, folder)
        self.library, self.ann = library, ann

    @property
    def index(self) -> str:
        """The name of the index in the collection."""
        return self.ann.replace(",", "-")

    def build(self, vectors: Vectors) -> None:
        with Collection.open(self.library) as library:
            if self.index in library.index_names():
                library.drop(self.index)
            library.build(self.index, vectors=GIVEN, ann=self.ann)

    def open(self, vectors: Vectors) -> None:
        self._queries = vectors.queries
        self._store = Store.open(self.library)
        with self._store.snapshot() as now:
            searcher: Any = now.searchers.of(self.index)
        self._searcher = searcher
        self._keys = np.sort(np.concatenate([block.keys for block in searcher.blocks]))

    def reaching(self, recall: float, reached: Callable[[Search], float]) -> tuple[Any, Search]:
        searcher = self._searcher
        if searcher.structure is None:
            return {}, self._search_with(searcher)
        hidden = searcher.deleted
        chosen = tune(searcher.structure, searcher.blocks, hidden, recall, self._queries).search
        tuned = replace(searcher, structure=searcher.structure.using(chosen), _prefilters={})
        return dict(chosen), self._search_with(tuned)

    def _search_with(self, searcher: Any) -> Search:
        return lambda part, k: searcher.search(self._queries[part], k)

    def rows(self, answer: Any) -> Rows:
        rows: Rows = np.searchsorted(self._keys, answer.keys)
        return rows

    @property
    def size(self) -> int:
        """Bytes of the structure; the vectors, which every index shares, are not counted."""
        row = self._store.index(self.index)
        return (self.library / row.file).stat().st_size if row.file else 0


class Whole(Ours):
    """The same structure asked through `Collection.search`: with texts, ids and checks.

    The encoder has the vectors of the queries.
    """

    def open(self, vectors: Vectors) -> None:
        super().open(vectors)
        self._vectors, self._collection = vectors, Collection.open(self.library)

    def reaching(self, recall: float, reached: Callable[[Search], float]) -> tuple[Any, Search]:
        name, collection = f"{self.index}-{recall}", self._collection
        if name not in collection.index_names():
            collection.build(name, vectors=GIVEN, ann=self.ann, recall=recall)
        collection.use(name, Given(self._vectors))
        asked = list(self._vectors.asked)
        report = collection.tune(name, recall=recall, queries=asked)

        def search(part: slice, k: int) -> Any:
            texts = asked[part]
            if len(texts) == 1:
                return [collection.search(texts[0], index=name, k=k)]
            return collection.search_many(texts, index=name, k=k)

        return dict(report.search), search

    def rows(self, answer: Any) -> Rows:
        return np.array([[int(hit.doc_id) for hit in hits] for hits in answer])
