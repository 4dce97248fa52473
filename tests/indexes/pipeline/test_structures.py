"""Structures are measured when they are built, and kept while few vectors are not in them."""

import numpy as np
import pytest

from indexes.pipeline import ann_builder
from retriever import Collection, Document
from retriever.embedders.base import fingerprint_of, unit
from tests.support.commands import invoke, objects, succeed


class Directions:
    """The text `n m` is direction number n, moved a little in direction number m."""

    name, dim, fingerprint = "directions", 24, fingerprint_of(kind="directions")

    def encode_documents(self, texts):
        return self.encode_queries(texts)

    def encode_queries(self, texts):
        return unit(np.array([self.direction(text) for text in texts], np.float32))

    def direction(self, text):
        whole, part = (
            np.random.default_rng(int(n)).standard_normal(self.dim) for n in text.split()
        )
        return unit(whole[None])[0] + 1e-4 * part


def documents(count, first=0):
    return [Document(f"d{n}", f"{n} 0") for n in range(first, first + count)]


@pytest.fixture
def graph(collection):
    """300 documents in an exact index `flat` and a graph `graph`; a tail of 20 rows is kept."""
    collection.add(documents(300))
    collection.build("flat", Directions())
    collection.build("graph", vectors="flat", ann="HNSW16")
    return collection


@pytest.fixture(autouse=True)
def short_tail(monkeypatch):
    monkeypatch.setattr(ann_builder, "TAIL_ROWS", 20)


def answers(collection, index, k=10, queries=range(40)):
    texts = [f"{n} {n + 1}" for n in queries]
    found = collection.search_many(texts, index=index, k=k)
    return [[(hit.doc_id, hit.score) for hit in hits] for hits in found]


@pytest.mark.parametrize(
    ("factory", "low"),
    [("HNSW32", False), ("IVF8,Flat", False), ("SQ8", False), ("SQ8_direct", True)],
)
def test_the_recall_of_a_structure_is_measured_and_a_low_one_is_said(collection, factory, low):
    collection.add(documents(1500))
    collection.build("flat", Directions())
    report = collection.build("other", vectors="flat", ann=factory)
    recall = collection.index_info("other").recall
    warning = [note for note in report.notes if "--vectors other" in note]
    assert ((recall < 0.9), len(warning)) == (low, low)
    assert collection.index_info("flat").recall is None
    (shown,) = objects(succeed("info", str(collection.path), "--json"))
    assert [index["recall"] for index in shown["indexes"]] == [None, recall]
    assert f"{recall:.3f}" in succeed("info", str(collection.path))
    said = invoke("info", str(collection.path)).stderr
    assert (f"{collection.path} other-exact --vectors other" in said) == low


def test_nearly_equal_texts_that_hide_the_others_are_said(collection):
    copies = [Document(f"c{n}", f"0 {n + 1}") for n in range(3000)]
    collection.add([*copies, *documents(200, 1)])
    report = collection.build("graph", Directions(), ann="HNSW4")
    lost = np.mean([hits[0].doc_id != f"d{n}" for n, hits in found_again(collection, 200)])
    assert lost > 0.2  # if not, the case shows nothing
    assert collection.index_info("graph").recall < 0.9
    assert len(report.notes) == 1


def found_again(collection, count):
    texts = [f"{n} 0" for n in range(1, count + 1)]
    return enumerate(collection.search_many(texts, index="graph", k=1), start=1)


def test_few_new_documents_leave_a_structure_as_it_is_and_are_found(graph):
    file = graph._store.index("graph").file
    graph.add(documents(20, 300))
    graph.build("graph")
    info = graph.index_info("graph")
    assert (graph._store.index("graph").file, info.tail, info.rows) == (file, 20, 320)
    assert answers(graph, "graph", queries=range(290, 320)) == answers(
        graph, "flat", queries=range(290, 320)
    )
    assert "searched exactly, added later" in succeed("info", str(graph.path))
    graph.add(documents(1, 320))
    graph.build("graph")
    assert graph._store.index("graph").file != file
    assert graph.index_info("graph").tail == 0


def test_few_deleted_documents_leave_a_structure_as_it_is(graph):
    file = graph._store.index("graph").file
    graph.delete([f"d{n}" for n in range(20)])
    graph.build("graph")
    assert graph._store.index("graph").file == file
    assert answers(graph, "graph") == answers(graph, "flat")
    graph.delete(["d20"])
    graph.build("graph")
    assert graph._store.index("graph").file != file
    graph.add(documents(1, 400))
    graph.build("graph")
    graph.compact()
    assert graph.index_info("graph").tail == 0


def test_ten_increments_answer_like_one_build(tmp_path):
    once, grown = (Collection.create(tmp_path / name) for name in ("once", "grown"))
    once.add(documents(300))
    once.build("graph", Directions(), ann="HNSW16")
    for first in range(0, 300, 30):
        grown.add(documents(30, first))
        grown.build("graph", Directions() if not first else None, ann="HNSW16")
    assert grown.index_info("graph").tail == 0
    grown.add(documents(10, 300))
    grown.build("graph")
    once.add(documents(10, 300))
    once.build("graph")
    assert grown.index_info("graph").tail == once.index_info("graph").tail == 10
    assert answers(grown, "graph") == answers(once, "graph")
