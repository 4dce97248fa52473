import dataclasses
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from indexes.errors import InputError, UnknownNameError
from retriever import Collection, Document, HashingEmbedder, compare
from retriever.comparison.latency import measure
from retriever.evaluation.results import Agreement
from tests.support.toy import COMPASS, QRELS, QUERIES, SECOND, Axes

# -- quality ------------------------------------------------------------------------------------


def test_quality_is_as_worked_out_by_hand(compass):
    report = compare(compass, ["axes", "half"], QUERIES, QRELS)
    assert report.rows["axes"].quality == pytest.approx(
        {"nDCG@10": SECOND, "R@10": 1, "R@100": 1, "RR@10": 0.5}
    )
    assert report.rows["half"].quality == pytest.approx(
        {"nDCG@10": 0.5, "R@10": 0.5, "R@100": 0.5, "RR@10": 0.5}
    )
    assert report.rows["axes"]["RR@10"] == 0.5
    assert report.per_query["half"]["RR@10"] == {"q1": 0.0, "q2": 1.0}
    assert report.per_query["axes"]["nDCG@10"] == pytest.approx({"q1": SECOND, "q2": SECOND})
    assert (report.judged, list(report.queries), report.k) == (True, ["q1", "q2"], 10)
    assert report.notes[2:] == ()


def test_grades_weigh_as_they_do_in_trec_eval(compass):
    # q2 is answered e, all, u, n: gains 1, 3, 0, 0 against the ideal 3, 1.
    report = compare(compass, ["axes"], QUERIES, {"q2": {"all": 3, "e": 1}})
    expected = (1 + 3 * SECOND) / (3 + 1 * SECOND)
    assert report.rows["axes"]["nDCG@10"] == pytest.approx(expected)


def test_equal_scores_are_ranked_as_trec_eval_ranks_them(compass):
    # q1 is answered n, all, and then e and u with 0 each: trec_eval takes the later id first.
    report = compare(compass, ["axes"], QUERIES, {"q1": {"e": 1}})
    assert report.rows["axes"]["nDCG@10"] == pytest.approx(1 / math.log2(5))
    assert [doc_id for doc_id, _ in report.runs["axes"].ranking["q1"]] == ["n", "all", "e", "u"]


def test_measures_are_chosen_by_name_and_spelled_one_way(compass):
    report = compare(compass, ["axes"], QUERIES, QRELS, measures=["MRR@10", "P@1", "AP"])
    assert report.rows["axes"].quality == {"RR@10": 0.5, "P@1": 0.0, "AP": 0.5}


def test_a_query_does_not_find_itself(compass):
    # The query n is the document n: without it, all comes first.
    report = compare(compass, ["axes"], {"n": "north"}, {"n": {"all": 1}})
    assert report.rows["axes"]["RR@10"] == 1
    assert [doc_id for doc_id, _ in report.runs["axes"].ranking["n"]] == ["all", "e", "u"]


def test_dropping_the_query_itself_costs_no_depth(compass):
    report = compare(
        compass, ["axes"], {"n": "north"}, {"n": {"e": 1}}, k=2, measures=["R@1", "R@2"]
    )
    assert [doc_id for doc_id, _ in report.runs["axes"].ranking["n"]] == ["all", "e"]
    assert report.rows["axes"].quality == {"R@1": 0.0, "R@2": 1.0}


def test_without_judgments_a_document_finds_itself(compass):
    report = compare(compass, ["axes"], {"n": "north"}, k=1)
    assert report.runs["axes"].ranking == {"n": [("n", 1.0)]}


# -- what the judgments name --------------------------------------------------------------------


def notes_of(compass, queries, qrels):
    notes = compare(compass, ["axes"], queries, qrels, measures=["RR@10"]).notes
    return [note for note in notes if "'axes'" not in note]


def test_queries_without_judgments_are_left_out_with_a_note(compass):
    report = compare(compass, ["axes"], {**QUERIES, "q3": "up", "q4": "up"}, QRELS)
    assert list(report.queries) == ["q1", "q2"]
    assert list(report.runs["axes"].ranking) == ["q1", "q2"]
    assert "2 queries without judgments were left out: q3, q4." in report.notes
    assert notes_of(compass, {**QUERIES, "q3": "up"}, QRELS) == [
        "1 query without judgments was left out: q3."
    ]


def test_judged_queries_without_a_text_are_noted(compass):
    qrels = {**QRELS, "x1": {"e": 1}}
    assert notes_of(compass, QUERIES, qrels) == ["1 judged query has no text, left out: x1."]
    qrels |= {f"x{n}": {"e": 1} for n in range(2, 6)}
    assert notes_of(compass, QUERIES, qrels) == [
        "5 judged queries have no text, left out: x1, x2, x3 and 2 more."
    ]


def test_relevant_documents_that_the_collection_lacks_are_noted(compass):
    qrels = {"q1": {"all": 1, "gone": 1, "irrelevant": 0}, "q2": {"gone": 2}}
    assert notes_of(compass, QUERIES, qrels) == [
        "1 relevant document is not in the collection: gone."
    ]
    # It counts as not found: one of two.
    report = compare(compass, ["axes"], QUERIES, qrels, measures=["R@10"])
    assert report.per_query["axes"]["R@10"] == {"q1": 0.5, "q2": 0.0}


def test_what_an_index_cannot_find_is_noted(compass):
    assert compare(compass, ["axes", "half"], QUERIES).notes == (
        "'axes': 1 document has nothing that axes can embed.",
        "'half': 2 documents have nothing that half can embed.",
    )
    compass.add([Document("new", "up")])
    assert compare(compass, ["axes"], QUERIES).notes[0] == (
        f"1 document in {compass.path}/ is not in index 'axes' yet. "
        f"Run: retriever build {compass.path} axes"
    )
    assert compass.search("up", index="axes").notes == compare(compass, ["axes"], QUERIES).notes[:1]


# -- agreement and cost -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("k", "shared"),
    [
        (1, 0.0),  # q1: n and nothing; q2: e and all
        (2, 0.5),  # q2: both find e and all
        (10, 0.375),  # q2: three of four
    ],
)
def test_overlap_is_as_worked_out_by_hand(compass, k, shared):
    report = compare(compass, ["axes", "half"], QUERIES, k=k)
    assert list(report.pairwise) == [("axes", "half")]
    assert report.agreement("axes", "half").overlap == shared
    assert report.agreement("half", "axes") is report.agreement("axes", "half")


def test_every_pair_is_there_once(compass):
    compass.build("graph", vectors="axes", ann="HNSW8")
    report = compare(compass, ["graph", "half", "axes"], QUERIES)
    assert list(report.pairwise) == [("graph", "half"), ("graph", "axes"), ("half", "axes")]
    assert report.pairwise["graph", "axes"] == Agreement(1, 1)
    assert [report.rows[name].ann_recall for name in report.rows] == [1.0, 1.0, 1.0]


def test_without_judgments_only_overlap_and_cost_are_told(compass):
    report = compare(compass, ["axes", "half"], QUERIES)
    assert not report.judged
    assert report.per_query == {"axes": {}, "half": {}}
    assert [row.quality for row in report.rows.values()] == [{}, {}]
    assert [report.runs[name].k for name in report.runs] == [10, 10]
    with pytest.raises(KeyError):
        report.rows["axes"]["nDCG@10"]


def test_runs_are_as_deep_as_the_deepest_measure(compass):
    runs = compare(compass, ["axes"], QUERIES, QRELS, measures=["P@5", "R@50"]).runs
    assert (runs["axes"].name, runs["axes"].k) == ("axes", 50)
    assert compare(compass, ["axes"], QUERIES, QRELS, measures=["AP"]).runs["axes"].k == 1000


def test_latency_tells_encoding_searching_and_fetching_apart(compass):
    report = compare(compass, ["axes", "half"], QUERIES)
    for row in report.rows.values():
        latency = row.latency
        assert len(latency.totals) == 30  # two queries, fifteen times each
        assert list(latency.totals) == sorted(latency.totals)
        for step in (latency.encoding, latency.searching, latency.fetching, latency.total):
            assert 0 < step.p50 <= step.p95 <= step.p99
        assert row.throughput > 0


@pytest.mark.parametrize(("queries", "samples"), [(1, 30), (7, 35), (31, 31), (250, 125)])
def test_latency_is_sampled_evenly(compass, queries, samples):
    latencies = measure([compass.retriever("axes")], ["north"] * queries, 1)
    assert len(latencies["axes"].totals) == samples


def test_the_index_and_the_machine_are_told(compass):
    report = compare(compass, ["half"], QUERIES)
    assert report.rows["half"].index == compass.info().indexes[1]
    assert report.rows["half"].query_coverage is None
    environment = report.environment
    assert environment["collection"] == "5 documents"
    assert {"python", "machine", "faiss-cpu", "torch", "numpy"} <= environment.keys()
    assert all(isinstance(value, str) for value in environment.values())


# -- written ------------------------------------------------------------------------------------


def test_json_is_one_object_a_line(compass):
    report = compare(compass, ["axes", "half"], QUERIES, QRELS)
    axes, half = map(json.loads, report.to_json().splitlines())
    assert (axes["name"], half["name"]) == ("axes", "half")
    assert axes["quality"] == dict(report.rows["axes"].quality)
    alike = dataclasses.asdict(report.agreement("axes", "half"))
    assert (axes["agreement"], half["agreement"]) == ({"half": alike}, {"axes": alike})
    assert (axes["queries"], axes["ann_recall"], axes["query_coverage"]) == (2, 1.0, None)
    assert axes["latency"]["total"]["p50"] == report.rows["axes"].latency.total.p50
    assert axes["index"]["rows"] == 4
    assert axes["environment"] == report.environment


def judged_by_the_command(qrels, run, measures):
    command = Path(sys.executable).parent / "ir_measures"
    done = subprocess.run(
        [command, str(qrels), str(run), *measures], capture_output=True, text=True, check=True
    )
    return dict(line.split("\t") for line in done.stdout.splitlines())


def test_runs_judged_by_the_ir_measures_command_give_the_same_numbers(tmp_path):
    words = [
        "kitten",
        "purrs",
        "engine",
        "idles",
        "rumble",
        "deadline",
        "April",
        "tax",
        "soft",
        "end",
    ]
    documents = [
        Document(f"d{n}", " ".join(words[(n * step) % 10] for step in range(1, 5)))
        for n in range(40)
    ]
    queries = {f"q{n}": f"{words[n]} {words[(3 * n + 1) % 10]}" for n in range(10)}
    queries |= {"d7": documents[7].text, "silent": "!!!"}
    qrels = {
        query_id: {f"d{(5 * n + m) % 40}": m % 3 for m in range(6)}
        for n, query_id in enumerate(queries)
    }
    with Collection.create(tmp_path / "c") as collection:
        collection.add(documents)
        collection.build("wide", HashingEmbedder())
        collection.build("narrow", HashingEmbedder(dim=8))
        report = compare(collection, ["wide", "narrow"], queries, qrels)
    judgments = tmp_path / "qrels.txt"
    judgments.write_text(
        "".join(f"{q} 0 {d} {g}\n" for q, grades in qrels.items() for d, g in grades.items())
    )
    paths = report.write_runs(tmp_path / "a" / "runs")
    assert [path.name for path in paths] == ["wide.trec", "narrow.trec"]
    for path, (name, row) in zip(paths, report.rows.items(), strict=True):
        told = judged_by_the_command(judgments, path, list(row.quality))
        assert told == {measure: f"{value:.4f}" for measure, value in row.quality.items()}, name


def test_a_run_that_trec_cannot_hold_is_refused(tmp_path):
    with Collection.create(tmp_path / "c") as collection:
        collection.add([Document("two words", "north")])
        collection.build("axes", Axes())
        report = compare(collection, ["axes"], {"q": "north"})
    with pytest.raises(InputError, match="'two words' holds white space"):
        report.write_runs(tmp_path / "runs")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file/runs cannot be made: Not a directory."):
        report.write_runs(tmp_path / "file" / "runs")


# -- what cannot be compared --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "queries", "options", "fault"),
    [
        (["axes", "half", "axes"], QUERIES, {}, "An index is named twice: axes, half, axes"),
        (["axes", "axis"], QUERIES, {}, "No index 'axis' in .*/. It has: axes, half"),
        (["axes"], QUERIES, {"qrels": QRELS, "measures": ["nCDG@10"]}, "No measure 'nCDG@10'"),
        (["axes"], {"a": "north", "b": " "}, {}, "Query 1 is empty"),
    ],
)
def test_an_invalid_comparison_is_refused(compass, names, queries, options, fault):
    refused = UnknownNameError if fault.startswith("No ") else InputError
    with pytest.raises(refused, match=fault):
        compare(compass, names, queries, **options)


def test_a_collection_without_an_index_says_how_to_build_one(tmp_path):
    with Collection.create(tmp_path / "c") as collection:
        collection.add(COMPASS)
        with pytest.raises(InputError, match="has no index yet. Build one: retriever build"):
            compare(collection, [], QUERIES)


def test_judgments_of_another_collection_are_told_apart(compass):
    with pytest.raises(InputError) as caught:
        compare(compass, ["axes"], QUERIES, {"301": {"a": 1}, "302": {"a": 1}})
    assert str(caught.value) == (
        "The judgments cover none of the 2 queries: they cover 301, 302; the queries are q1, q2. "
        "Give the queries and qrels of one collection."
    )
    with pytest.raises(InputError, match="they cover none; the queries are q1, q2"):
        compare(compass, ["axes"], QUERIES, {})


def test_nothing_given_is_written_into(compass):
    queries, qrels = dict(QUERIES), {key: dict(grades) for key, grades in QRELS.items()}
    names = ["axes"]
    compare(compass, names, queries, qrels)
    assert (names, queries, qrels) == (["axes"], QUERIES, QRELS)
