"""hnswlib, usearch and bare FAISS; each searches with one thread, and answers with row numbers."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from benchmarks.ann.system import Rows, Search, System
from benchmarks.ann.vectors import Vectors

__all__ = ["Bare", "FaissGraph", "Hnswlib", "Usearch"]

# Each about a twelfth more than the one before.
EFFORTS = sorted({round(10 * 1.08**step) for step in range(72)})
PROBES = sorted({round(1.15**step) for step in range(60)})
DEPTHS = (16, 24, 32, 48, 64, 96, 128)
LINKS = 32


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


def _seconds(search: Search) -> float:
    started = time.process_time()
    search(slice(None), 10)
    return time.process_time() - started
