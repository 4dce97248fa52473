"""Tests of latency, cost and memory."""

from dataclasses import replace

import numpy as np
import pytest

from indexes.images import Image
from retriever import Document, HashingEmbedder, compare
from retriever.comparison.cost import cost_of, leaves, open_memory
from retriever.comparison.latency import measure
from tests.support.models.pictures import picture
from tests.support.toy import QRELS, QUERIES, SECOND, Axes


def test_latencies_ascend_and_every_system_is_sampled_equally_often(compass):
    compass.build("bm25", lexical=True)
    compass.fuse("both", ["axes", "bm25"])
    made = compare(compass, ["axes", "bm25", "both"], QUERIES)
    for row in made.rows.values():
        assert len(row.latency.totals) == 30  # two queries, fifteen times each
        assert list(row.latency.totals) == sorted(row.latency.totals)
        assert row.throughput > 0
        for step in ("encoding", "searching", "fetching", "total"):
            spread = getattr(row.latency, step)
            assert 0 < spread.p50 <= spread.p95 <= spread.p99
        assert np.percentile(row.latency.totals, 95) == pytest.approx(row.latency.total.p95)


class Recording(Axes):
    """Appends its name and every query to a list."""

    def __init__(self, name, seen, words):
        super().__init__(name, words=words)
        self.queries = seen

    def encode_queries(self, texts):
        self.queries.append((self.name, *texts))
        return super().encode_queries(texts)


def test_systems_take_turns_query_by_query(compass):
    seen = []
    compass.build("a", Recording("a", seen, ("north", "up", "fog")))
    compass.build("b", Recording("b", seen, ("fog", "up")))
    retrievers = [compass.retriever(name) for name in ("a", "b")]
    seen.clear()
    latencies = measure(retrievers, ["north", "up"], 1)
    turns = [("a", "north"), ("b", "north"), ("a", "up"), ("b", "up")]
    # Once unmeasured, then as often as gives thirty samples of each.
    assert seen == turns + 15 * turns
    assert {name: len(one.totals) for name, one in latencies.items()} == {"a": 30, "b": 30}


def test_shared_vectors_are_counted_once(compass):
    compass.build("graph", vectors="axes", ann="HNSW8")
    compass.build("bm25", lexical=True)
    compass.fuse("both", ["axes", "graph", "bm25"])
    compass.cascade("deep", "both", "half")
    infos = {info.name: info for info in compass.info().indexes}
    assert leaves("deep", infos) == ["axes", "graph", "bm25", "half"]
    axes, graph, words, half = (infos[name] for name in leaves("deep", infos))
    cost = compare(compass, ["deep"], QUERIES).rows["deep"].cost
    assert cost.embedding_seconds == axes.embedding_seconds + half.embedding_seconds
    assert graph.embedding_seconds == axes.embedding_seconds
    own = [graph.structure_size, words.structure_size]
    assert min(own) > 0
    assert cost.disk_size == axes.vectors_size + half.vectors_size + sum(own)
    assert cost.disk_size_per_document == cost.disk_size / 5
    assert cost.indexing_seconds == graph.indexing_seconds + words.indexing_seconds
    assert cost.building_seconds == cost.embedding_seconds + cost.indexing_seconds
    assert cost.documents_per_second == pytest.approx(5 / cost.building_seconds)
    both = cost_of("both", infos, 5)
    assert both.embedding_seconds == axes.embedding_seconds


def test_what_took_no_time_has_no_rate(compass):
    infos = {info.name: info for info in compass.info().indexes}
    text = replace(infos["axes"].text, tokens=5)
    instant = replace(infos["axes"], embedding_seconds=0.0, indexing_seconds=0.0, text=text)
    cost = cost_of("axes", {"axes": instant}, 5)
    assert (cost.documents_per_second, cost.tokens_per_second) == (None, None)
    slow = replace(instant, embedding_seconds=2.0)
    assert cost_of("axes", {"axes": slow}, 5).tokens_per_second == 2.5


def test_memory_is_measured_on_request_but_not_of_a_custom_embedder(compass):
    compass.build("bm25", lexical=True)
    (row,) = compare(compass, ["bm25"], QUERIES, memory=True).rows.values()
    assert 10e6 < row.cost.open_memory < 1e9
    (row,) = compare(compass, ["bm25"], QUERIES).rows.values()
    assert row.cost.open_memory is None
    (row,) = compare(compass, ["axes"], QUERIES, QRELS, memory=True).rows.values()
    assert (row.family, row.kind) == ("custom", "exact")
    assert row.description == "custom:Axes"
    assert row.cost.open_memory is None  # no other process can load it
    assert row.latency.total.p50 > 0
    assert row["nDCG@10"] == pytest.approx(SECOND)


def test_memory_is_measured_for_any_query_in_any_folder(collection, tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("raise SystemExit('not mine')")
    monkeypatch.chdir(tmp_path)
    collection.add([Document("d", "word")])
    collection.build("floor", HashingEmbedder(8))
    row = compare(collection, ["floor"], {"q": "word " * 60_000}, memory=True).rows["floor"]
    assert row.cost.open_memory > 1_000_000


def test_memory_is_measured_by_an_image_where_the_query_is_one(collection):
    collection.add([Document("d", "word")])
    collection.build("floor", HashingEmbedder(8))
    # The other process is given the image itself, by which this index cannot be searched.
    assert open_memory(collection, "floor", Image.of_bytes(picture())) is None
    assert open_memory(collection, "floor", "word") > 1_000_000


def test_latency_is_sampled_evenly(compass):
    for queries, samples in ((1, 30), (7, 35), (31, 31), (250, 125)):
        latencies = measure([compass.retriever("axes")], ["north"] * queries, 1)
        assert len(latencies["axes"].totals) == samples


def test_the_index_and_the_environment_are_recorded(compass):
    report = compare(compass, ["half"], QUERIES)
    assert report.rows["half"].index == compass.info().indexes[1]
    assert report.rows["half"].query_coverage is None
    environment = report.environment
    assert environment["collection"] == "5 documents"
    assert {"python", "machine", "faiss-cpu", "torch", "numpy"} <= environment.keys()
    assert all(isinstance(value, str) for value in environment.values())
