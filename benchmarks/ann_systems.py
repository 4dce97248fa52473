"""The systems of `benchmarks.ann`: what each builds, how hard it can search, and what it finds.

Each searches the same unit vectors with one thread, and answers with row numbers.
"""

from __future__ import annotations

import json
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from benchmarks.ann_vectors import Matrix, Vectors
from indexes.store import Store
from indexes.vectors.tuning import tune
from retriever import Collection, Document

Rows = NDArray[np.int64]
# Some of the queries, by their places, and the number of neighbors; what is found, as it comes.
Search = Callable[[slice, int], Any]

# Each about a twelfth more than the one before.
EFFORTS = sorted({round(10 * 1.08**step) for step in range(72)})
PROBES = sorted({round(1.15**step) for step in range(60)})
DEPTHS = (12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
LINKS = 32
GIVEN = "given"


class System(ABC):
    """A structure over vectors, in a folder of its own."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder

    @abstractmethod
    def build(self, vectors: Vectors) -> None:
        """Build the structure and write it."""

    @abstractmethod
    def open(self, vectors: Vectors) -> None:
        """Read it."""

    @abstractmethod
    def reaching(self, recall: float, reached: Callable[[Search], float]) -> tuple[Any, Search]:
        """Return the least effort that reaches a recall@10, and the search with it.

        `reached` measures the recall of a search; without any that reaches it, the most is returned.
        """

    def rows(self, answer: Any) -> Rows:
        """Return the rows that a search has found, (queries, k)."""
        found: Rows = answer
        return found

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())


class Graph(System):
    """A graph with one parameter, how many nodes a search keeps: `searching` fixes it."""

    def reaching(self, recall: float, reached: Callable[[Search], float]) -> tuple[Any, Search]:
        first, stop = 0, len(EFFORTS) - 1
        while first < stop:
            middle = (first + stop) // 2
            if reached(self.searching(EFFORTS[middle])) >= recall:
                stop = middle
            else:
                first = middle + 1
        return {"efSearch": EFFORTS[first]}, self.searching(EFFORTS[first])

    @abstractmethod
    def searching(self, effort: int) -> Search:
        """Return a search that keeps so many nodes."""


class Hnswlib(Graph):
    """hnswlib with the parameters of its examples."""

    def build(self, vectors: Vectors) -> None:
        import hnswlib

        rows, dim = vectors.documents.shape
        index = hnswlib.Index("ip", dim)
        index.init_index(rows, M=16, ef_construction=200)
        index.add_items(vectors.documents, num_threads=1)
        index.save_index(str(self.folder / "index"))

    def open(self, vectors: Vectors) -> None:
        import hnswlib

        self._queries = vectors.queries
        self._index: Any = hnswlib.Index("ip", vectors.documents.shape[1])
        self._index.load_index(str(self.folder / "index"))

    def searching(self, effort: int) -> Search:
        def search(part: slice, k: int) -> Rows:
            self._index.set_ef(max(effort, k))
            found: Rows = self._index.knn_query(self._queries[part], k, num_threads=1)[0]
            return found

        return search


class Usearch(Graph):
    """usearch with its defaults, in single precision as all others."""

    def build(self, vectors: Vectors) -> None:
        index = self._empty(vectors)
        index.add(np.arange(len(vectors.documents)), vectors.documents, threads=1)
        index.save(str(self.folder / "index"))

    def open(self, vectors: Vectors) -> None:
        self._queries, self._index = vectors.queries, self._empty(vectors)
        self._index.load(str(self.folder / "index"))

    def searching(self, effort: int) -> Search:
        def search(part: slice, k: int) -> Rows:
            self._index.expansion_search = max(effort, k)
            some = self._queries[part]
            one = some[0] if len(some) == 1 else some
            found: Rows = self._index.search(one, k, threads=1).keys.reshape(len(some), -1)
            return found

        return search

    @staticmethod
    def _empty(vectors: Vectors) -> Any:
        from usearch.index import Index

        return Index(ndim=vectors.documents.shape[1], metric="ip", dtype="f32")


class FaissGraph(Graph):
    """FAISS's own HNSW, with 32 links."""

    def build(self, vectors: Vectors) -> None:
        dim = vectors.documents.shape[1]
        index = faiss.IndexHNSWFlat(dim, LINKS, faiss.METRIC_INNER_PRODUCT)
        index.add(vectors.documents)
        faiss.write_index(index, str(self.folder / "index"))

    def open(self, vectors: Vectors) -> None:
        self._queries = vectors.queries
        self._index: Any = faiss.read_index(str(self.folder / "index"))

    def searching(self, effort: int) -> Search:
        def search(part: slice, k: int) -> Rows:
            parameters = faiss.SearchParametersHNSW(efSearch=max(effort, k))
            found: Rows = self._index.search(self._queries[part], k, params=parameters)[1]
            return found

        return search


class Bare(System):
    """FAISS alone, with the same structure, search parameters and exact scoring, by hand."""

    def __init__(self, name: str, folder: Path, factory: str) -> None:
        super().__init__(name, folder)
        self.factory = factory

    def build(self, vectors: Vectors) -> None:
        documents = vectors.documents
        index = faiss.index_factory(documents.shape[1], self.factory, faiss.METRIC_INNER_PRODUCT)
        index.train(documents)
        index.add(documents)
        faiss.write_index(index, str(self.folder / "index"))

    def open(self, vectors: Vectors) -> None:
        self._vectors = vectors
        self._index: Any = faiss.read_index(str(self.folder / "index"))

    def reaching(self, recall: float, reached: Callable[[Search], float]) -> tuple[Any, Search]:
        best: tuple[float, Any, Search] | None = None
        cells = [1] if not self._is_ivf else [n for n in PROBES if n <= self._index.nlist]
        for depth in DEPTHS:
            first, stop = 0, len(cells)
            while first < stop:
                middle = (first + stop) // 2
                search = self._searching(cells[middle], depth)
                if reached(search) >= recall:
                    stop = middle
                else:
                    first = middle + 1
            if first == len(cells):
                continue
            search = self._searching(cells[first], depth)
            seconds = min(_seconds(search) for _ in range(3))
            if best is None or seconds < best[0]:
                best = seconds, {"nprobe": cells[first], "depth": depth}, search
        if best is None:
            return {"depth": DEPTHS[-1]}, self._searching(cells[-1], DEPTHS[-1])
        return best[1:]

    @property
    def _is_ivf(self) -> bool:
        return isinstance(self._index, faiss.IndexIVF)

    def _searching(self, nprobe: int, depth: int) -> Search:
        queries, documents = self._vectors.queries, self._vectors.documents
        parameters: Any = None
        if self._is_ivf:
            kind = (
                faiss.IVFPQSearchParameters if isinstance(self._index, faiss.IndexIVFPQ) else None
            )
            parameters = (kind or faiss.SearchParametersIVF)(nprobe=nprobe)

        def search(part: slice, k: int) -> Rows:
            some = queries[part]
            rows = self._index.search(some, max(k, depth), params=parameters)[1]
            scores = np.empty(rows.shape, np.float32)
            pointers = map(faiss.swig_ptr, (scores, some, documents, rows))
            faiss.fvec_inner_products_by_idx(*pointers, some.shape[1], *rows.shape)
            order = np.argsort(-scores, axis=1)[:, :k]
            return np.take_along_axis(rows, order, axis=1)

        return search


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


def _seconds(search: Search) -> float:
    started = time.process_time()
    search(slice(None), 10)
    return time.process_time() - started


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
            if self.index in library.indexes():
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
        return np.searchsorted(self._keys, answer.keys)

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
        if name not in collection.indexes():
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
