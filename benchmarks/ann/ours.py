"""Indexes of ours over stored vectors, at two levels: the searcher, and `Collection.search`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ann.system import RECALLS, Rows, Search, System
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

    `ann` is its structure; for `auto`, that for the recall of `recalls`. Its search parameters are
    those that `tune` chooses for the queries.
    """

    def __init__(
        self, name: str, library: Path, ann: str, recalls: Sequence[float] = RECALLS
    ) -> None:
        super().__init__(name, library, recalls)
        self.ann, self.index = ann, name.replace(",", "-").replace(" ", "-")

    def build(self, vectors: Vectors) -> None:
        asked = self.recalls[0] if len(self.recalls) == 1 else None
        with Collection.open(self.folder) as library:
            if self.index in library.index_names():
                library.drop(self.index)
            library.build(self.index, vectors=GIVEN, ann=self.ann, recall=asked)

    def open(self, vectors: Vectors) -> None:
        self._queries = vectors.queries
        self._store = Store.open(self.folder)
        with self._store.snapshot() as now:
            searcher: Any = now.searchers.of(self.index)
        self._searcher = searcher
        self._keys = np.sort(np.concatenate([block.keys for block in searcher.blocks]))

    def reaching(self, recall: float, reached: Callable[[Search], float]) -> tuple[Any, Search]:
        searcher, chosen = self._searcher, {}
        if structure := searcher.structure:
            hidden = searcher.deleted
            chosen = dict(tune(structure, searcher.blocks, hidden, recall, self._queries).search)
            searcher = replace(searcher, structure=structure.using(chosen), _prefilters={})
        return chosen, lambda part, k: searcher.search(self._queries[part], k)

    def rows(self, answer: Any) -> Rows:
        rows: Rows = np.searchsorted(self._keys, answer.keys)
        return rows

    @property
    def size(self) -> int:
        """Bytes of the structure; the vectors, which every index shares, are not counted."""
        row = self._store.index(self.index)
        return (self.folder / row.file).stat().st_size if row.file else 0


class Whole(Ours):
    """An index of `Ours` asked through `Collection.search`: with texts, ids and checks.

    The encoder has the vectors of the queries.
    """

    def __init__(self, name: str, of: Ours) -> None:
        super().__init__(of.name, of.folder, of.ann, of.recalls)
        self.name = name

    def build(self, vectors: Vectors) -> None:
        """Build nothing: the index is there."""

    def reaching(self, recall: float, reached: Callable[[Search], float]) -> tuple[Any, Search]:
        collection, asked = Collection.open(self.folder), self._vectors.asked
        collection.use(self.index, Given(self._vectors))
        report = collection.tune(self.index, recall=recall, queries=asked)

        def search(part: slice, k: int) -> Any:
            texts = asked[part]
            if len(texts) == 1:
                return [collection.search(texts[0], index=self.index, k=k)]
            return collection.search_many(texts, index=self.index, k=k)

        return dict(report.search), search

    def open(self, vectors: Vectors) -> None:
        super().open(vectors)
        self._vectors = vectors

    def rows(self, answer: Any) -> Rows:
        return np.array([[int(hit.doc_id) for hit in hits] for hits in answer])
