"""A filter that hides what is near a query costs no recall, and few queries a search of all."""

import numpy as np
import pytest

from indexes.search import vector_searcher
from indexes.search.vector_searcher import VectorSearcher
from retriever import Collection, Document

ROWS, WIDTH = 3000, 16
VECTORS = np.random.default_rng(0).standard_normal((ROWS, WIDTH)).astype(np.float32)


class Numbered:
    """Embed the number of a text as the vector of that number."""

    name, dim, fingerprint = "numbered", WIDTH, "{}"

    def encode_documents(self, texts):
        return VECTORS[[int(text) for text in texts]]

    encode_queries = encode_documents


@pytest.fixture(scope="module")
def points(tmp_path_factory):
    along = VECTORS @ VECTORS[0] / np.linalg.norm(VECTORS, axis=1)
    with Collection.create(tmp_path_factory.mktemp("points") / "c") as collection:
        collection.add(
            Document(f"d{n}", str(n), metadata={"along": float(along[n]), "odd": n % 2})
            for n in range(ROWS)
        )
        collection.build("exact", Numbered())
        collection.build("graph", vectors="exact", ann="HNSW16")
        collection.build("cells", vectors="exact", ann="IVF64,Flat")
        yield collection


def recall(collection, index, queries, where):
    found, true = (
        collection.search_many(queries, index=name, k=10, where=where) for name in (index, "exact")
    )
    enough = [hits[-1].score - 1e-6 for hits in true]
    return np.mean(
        [[hit.score >= least for hit in hits] for hits, least in zip(found, enough, strict=True)]
    )


@pytest.mark.parametrize("index", ["graph", "cells"])
def test_a_filter_on_the_opposite_of_a_query_keeps_its_recall(points, index):
    assert recall(points, index, ["0"], {"along": {"<": 0.0}}) == 1
    assert recall(points, index, ["0"], {"along": {"<": -1.0}}) == 1


@pytest.mark.parametrize("index", ["graph", "cells"])
def test_a_filter_that_does_not_depend_on_the_query_is_answered_by_the_structure(
    points, index, monkeypatch
):
    exact, searched = VectorSearcher._brute_force, []

    def counted(self, queries, k, prefilter):
        searched.append((self.index.name, len(queries)))
        return exact(self, queries, k, prefilter)

    monkeypatch.setattr(VectorSearcher, "_brute_force", counted)
    # Of so few rows, exact search is faster.
    monkeypatch.setattr(vector_searcher, "GRAPH_ROWS", (0.1, 0.1))
    monkeypatch.setattr(vector_searcher, "CELL_ROWS", (0.1, 0.1))
    queries = [str(n) for n in range(0, ROWS, 60)]
    found = recall(points, index, queries, {"odd": 1})
    assert found > recall(points, index, queries, None) - 0.03
    assert [name for name, _ in searched] == ["exact", "exact"]


@pytest.mark.parametrize("index", ["graph", "cells"])
def test_few_queries_and_a_common_filter_are_left_to_the_structure(points, index):
    with points._store.snapshot() as snapshot:
        searcher = snapshot.searchers.of(index)
        one, many = searcher._most_candidates(1), searcher._most_candidates(1000)
    of_one, of_many = {"graph": (100, 100), "cells": (35, 85)}[index]
    assert one == pytest.approx(ROWS / of_one)
    assert many == pytest.approx(ROWS / 7 / of_many, rel=0.01)
