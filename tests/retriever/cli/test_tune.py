"""`--ann auto`, `--recall` and `tune`: structures chosen by size and tuned to a recall."""

import json
from collections import Counter

import numpy as np
import pytest

from indexes.errors import InputError
from indexes.vectors import tuning
from indexes.vectors.faiss_engine import automatic, efforts
from retriever import Document, HashingEmbedder
from tests.support.commands import fail, invoke, objects, succeed
from tests.support.toy import refused

TEXTS = [f"word{n % 40} word{n % 61} word{n % 7} word{n}" for n in range(1200)]


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch):
    monkeypatch.setattr(automatic, "EXACT_ROWS", 1000)
    monkeypatch.setattr(automatic, "EXACT_NUMBERS", 1000)
    for name in ("SCANNED_BYTES", "SCANNED_FOR_ALL"):
        monkeypatch.setattr(automatic, name, 1000)
    monkeypatch.setattr(tuning, "TUNED_WITH", 48)


@pytest.fixture
def library(collection):
    collection.add(
        Document(str(n), text, metadata={"rest": n % 40}) for n, text in enumerate(TEXTS)
    )
    collection.build("exact", HashingEmbedder(32), ann="exact")
    return collection


def definition(collection, index):
    return collection._store.index(index).definition


def answers(collection, index):
    found = collection.search_many(TEXTS[:50], index=index)
    return [[(hit.doc_id, hit.score) for hit in hits] for hits in found]


def score_of(hit):
    return hit.score


def scores(collection, index):
    return [[score for _, score in hits] for hits in answers(collection, index)]


def test_auto_is_the_default_and_reaches_98_percent(library):
    library.build("auto", vectors="exact")
    info = library.index_info("auto")
    assert (info.automatic, info.factory[:3], info.recall_asked) == (True, "IVF", 0.98)
    assert info.recall >= 0.98
    for hits, exact in zip(answers(library, "auto"), answers(library, "exact"), strict=True):
        scores = dict(exact)
        assert all(scores.get(doc_id, score) == score for doc_id, score in hits)
        assert [score for _, score in hits] == sorted((s for _, s in hits), reverse=True)
    shown = succeed("info", str(library.path))
    assert "recall@10 asked" in shown
    assert "processor time" in shown


@pytest.mark.parametrize("ann", ["auto", "HNSW16"])
def test_a_filter_keeps_the_recall(library, ann):
    library.build("tuned", vectors="exact", ann=ann, recall=0.95)
    for share in (2, 5, 20):
        where = {"rest": {"in": list(range(0, 40, share))}}
        found, true = (
            library.search_many(TEXTS[:50], index=index, where=where)
            for index in ("tuned", "exact")
        )
        pairs = [
            (Counter(map(score_of, a)), Counter(map(score_of, b)))
            for a, b in zip(found, true, strict=True)
        ]
        assert np.mean([(a & b).total() / b.total() for a, b in pairs]) >= 0.94


def test_few_vectors_are_searched_exactly_until_there_are_many(collection):
    collection.add(Document(str(n), text) for n, text in enumerate(TEXTS[:900]))
    collection.build("auto", HashingEmbedder(32), recall=0.9)
    assert collection.index_info("auto").factory == "Flat"
    collection.add(Document(str(n), text) for n, text in enumerate(TEXTS))
    collection.build("auto")
    info = collection.index_info("auto")
    assert (info.factory[:3], info.recall_asked, info.tail) == ("IVF", 0.9, 0)
    collection.delete(str(n) for n in range(300, 1200))
    collection.compact()
    assert collection.index_info("auto").kind == "flat"
    collection.build("auto", ann="auto")
    assert len(collection.search("word7", index="auto", k=20)) == 20


@pytest.mark.parametrize("spelled", ["exact", "Flat", "flat", "EXACT"])
def test_exact_search_of_many_vectors_has_to_be_asked_for(library, spelled):
    library.build("other", vectors="exact", ann=spelled)
    assert (library.index_info("other").kind, definition(library, "other")) == ("flat", {})
    library.build("other", ann=spelled)
    refused(InputError, "searched exactly", library.build, "other", recall=0.9)
    wanted = {"vectors": "exact", "ann": spelled, "recall": 1}
    refused(InputError, "leave out recall", library.build, "x", **wanted)


def test_another_recall_tunes_and_does_not_build(library):
    library.build("auto", vectors="exact", recall=0.5)
    before = library._store.index("auto")
    library.build("auto", recall=0.99)
    after = library._store.index("auto")
    assert (after.file, after.definition["recall"]) == (before.file, 0.99)
    assert after.definition["search"] != before.definition["search"]
    library.build("auto")
    assert library._store.index("auto") == after


@pytest.mark.parametrize("factory", ["HNSW8", "IVF16,Flat", "PQ16x4fs,RFlat", "SQ8"])
def test_any_structure_is_tuned_when_a_recall_is_asked(library, factory):
    library.build("other", vectors="exact", ann=factory, recall=0.95)
    info = library.index_info("other")
    assert (info.factory, info.recall_asked, info.automatic) == (factory, 0.95, False)
    assert info.recall >= 0.95


def test_tuning_twice_changes_nothing(library):
    library.build("graph", vectors="exact", ann="HNSW8")
    first = library.tune("graph", recall=0.9)
    row = library._store.index("graph")
    generation = library._store.catalog.generation()
    again = library.tune("graph", recall=0.9)
    assert (library._store.index("graph"), first.search) == (row, again.search)
    assert library._store.catalog.generation() == generation


def test_an_open_collection_searches_with_what_was_tuned(library):
    library.build("cells", vectors="exact", ann="IVF16,Flat", recall=0.3)
    assert scores(library, "cells") != scores(library, "exact")
    library.tune("cells", recall=1.0, queries=TEXTS[:50])
    assert scores(library, "cells") == scores(library, "exact")


def test_queries_to_tune_with_are_a_list_a_mapping_or_a_table(library):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    library.build("graph", vectors="exact", ann="HNSW8")
    texts = TEXTS[:40]
    by_id = {f"q{number}": text for number, text in enumerate(texts)}
    frame = pandas.DataFrame({"qid": list(by_id), "query": texts})
    tuned = [library.tune("graph", recall=0.9, queries=each) for each in (texts, by_id, frame)]
    assert len({(str(one.search), one.reached) for one in tuned}) == 1
    refused(InputError, "no queries to tune with", library.tune, "graph", queries={})
    refused(InputError, "expected a list of texts", library.tune, "graph", queries="text")


def test_tune_on_the_command_line_prints_what_it_chose(library, tmp_path):
    library.build("auto", vectors="exact")
    queries = tmp_path / "queries.jsonl"
    lines = [{"id": str(n), "text": text} for n, text in enumerate(TEXTS[:60])]
    queries.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    place = str(library.path)
    shown = succeed("tune", place, "auto", "--recall", "0.9", "--queries", str(queries))
    assert "recall@10 asked / reached" in shown
    (record,) = objects(succeed("tune", place, "auto", "--json"))
    assert (record["asked"], record["name"]) == (0.98, "auto")
    assert list(record["recall"]) == ["1", "10", "100"]
    assert record["reached"] >= 0.98
    assert {"latency", "throughput", "indexing_seconds", "size", "search"} <= record.keys()


def test_a_recall_out_of_reach_is_said_with_what_to_do(library, monkeypatch):
    monkeypatch.setattr(efforts, "LARGEST_DEPTH", 20)
    report = library.build("poor", vectors="exact", ann="SQ8_direct", recall=0.99)
    (note,) = report.notes
    assert "not 99 %" in note
    assert "--ann exact" in note
    said = invoke("tune", str(library.path), "poor", "--recall", "0.99").stderr
    assert "not 99 %" in said
    assert "not 99 %" in invoke("info", str(library.path)).stderr


@pytest.mark.parametrize("recall", [0, 1.5, -1, True, "high", float("nan")])
def test_a_recall_that_is_no_share_is_refused(library, recall):
    message = "recall is .*; expected a share above 0 and at most 1"
    refused(InputError, message, library.build, "x", vectors="exact", recall=recall)
    refused(InputError, message, library.tune, "exact", recall=recall)


def test_what_has_no_structure_cannot_be_tuned(library):
    library.build("bm25", lexical=True)
    exact = "has no structure to tune: a search of it is exact."
    advice = " Build one with --ann (ann='auto', ann='HNSW32')."
    assert fail("tune", str(library.path), "exact") == f"Index 'exact' {exact}{advice}"
    assert fail("tune", str(library.path), "bm25") == f"Index 'bm25' {exact}"
    library.fuse("both", ["exact", "bm25"])
    assert fail("tune", str(library.path), "both") == (
        "Index 'both' has no structure to tune, as it combines others: exact, bm25. Tune those."
    )
    library.build("graph", vectors="exact", ann="HNSW8")
    refused(InputError, "no queries", library.tune, "graph", queries=[])
    refused(InputError, "Query 0 is empty", library.tune, "graph", queries=["", ""])
    refused(InputError, "No query", library.tune, "graph", queries=["!!!", "?"])
    assert "No index 'none'" in fail("tune", str(library.path), "none")


def test_a_definition_without_a_recall_is_searched_as_before(library):
    library.build("graph", vectors="exact", ann="HNSW8")
    assert definition(library, "graph") == {"factory": "HNSW8"}
    assert library.index_info("graph").recall_asked is None
