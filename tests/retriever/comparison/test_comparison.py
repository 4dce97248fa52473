"""Tests of a finished comparison: who wins, which systems are worth their cost, its files."""

import dataclasses
import json
from dataclasses import replace

import pytest

from indexes.errors import InputError, UnknownNameError
from retriever import Document, HashingEmbedder, Run, compare
from retriever.formats import write_qrels
from tests.support.commands import ir_measures
from tests.support.oracles.trec import write_without_ties
from tests.support.toy import QRELS, QUERIES, build_axes, refused


def test_runs_of_any_name_are_written_to_separate_files(compass, tmp_path):
    runs = {name: Run.of(name, {"q1": [("all", 1.0)]}) for name in ("a/b c.trec", "../up")}
    made = compare(compass, ["axes"], QUERIES, QRELS, runs=runs)
    paths = made.write_runs(str(tmp_path / "runs"))
    assert [path.name for path in paths] == ["axes.trec", "a_b_c.trec.trec", ".._up.trec"]
    assert sorted((tmp_path / "runs").iterdir()) == sorted(paths)
    assert paths[1].read_text() == "q1 Q0 all 1 1.0 a_b_c.trec\n"
    alike = {name: Run.of(name, {}) for name in ("a/b", "a b")}
    made = compare(compass, ["axes"], QUERIES, QRELS, runs=alike)
    message = "Two of the runs would get one file: axes, a/b, a b"
    refused(InputError, message, made.write_runs, tmp_path / "more")


def test_the_environment_has_the_commands_that_build_a_combination_and_its_parts(compass):
    compass.build("bm25", lexical=True)
    compass.build("graph", vectors="axes", ann="HNSW8")
    compass.fuse("both", ["graph", "bm25"], weights=[1, 1 / 3], rrf_k=10)
    compass.cascade("deep", "both", "half", depth=7)
    environment = compare(compass, ["deep"], QUERIES).environment
    start = f"retriever build {compass.path}"
    built = {name: text for name, text in environment.items() if name.startswith("index ")}
    assert list(built) == ["index graph", "index bm25", "index both", "index half", "index deep"]
    assert built["index bm25"] == f"{start} bm25 --lexical --language english"
    assert built["index both"] == (
        f"{start} both --fuse graph=1 --fuse bm25=0.3333333333333333 "
        "--method rrf --rrf-k 10 --depth 100"
    )
    assert built["index deep"] == f"{start} deep --cascade both --rerank half --depth 7"
    assert built["index graph"].endswith("--ann HNSW8")


@pytest.mark.parametrize(
    ("milliseconds", "seconds", "latency", "building"),
    [
        ((3, 1, 2), (1, 2, 3), ["b", "c"], ["a", "c"]),  # a is slower than c, and worse
        ((1, 1, 1), (2, 1, 1), ["c"], ["c"]),
        ((1, 2, 3), (3, 2, 1), ["a", "c"], ["c"]),  # b costs more than a and is as good as it
    ],
)
def test_a_front_has_the_systems_that_no_other_beats(
    compass, milliseconds, seconds, latency, building
):
    names = ("a", "b", "c")
    for name in names:
        compass.build(name, vectors="axes")
    made = compare(compass, names, QUERIES, QRELS)
    rows, measured = {}, zip(names, (0.5, 0.5, 0.75), milliseconds, seconds, strict=True)
    for name, best, p50, total in measured:
        row = made.rows[name]
        times = replace(row.latency, total=replace(row.latency.total, p50=p50))
        cost = replace(row.cost, embedding_seconds=total / 2, indexing_seconds=total / 2)
        rows[name] = replace(row, quality={"nDCG@10": best}, latency=times, cost=cost)
    assert replace(made, rows=rows).fronts() == {"latency": latency, "building": building}
    assert compare(compass, names, QUERIES).fronts() == {}


def test_ranks_winners_and_largest_differences_by_hand(compass):
    queries = {**QUERIES, "q3": "up"}  # axes: u, all, n, e. half: u, all, e.
    qrels = {**QRELS, "q2": {"all": 2, "fog": 1, "n": 0}, "q3": {"fog": 1}}
    made = compare(compass, ["axes", "half"], queries, qrels, measures=["RR@10", "AP"])
    assert made.measure == "RR@10"
    assert made.ranks("q1") == {"all": {"axes": 2, "half": None}}
    fog = {"axes": None, "half": None}
    assert made.ranks("q2") == {"all": {"axes": 2, "half": 1}, "fog": fog}
    assert made.winners("q1") == (["axes"], 0.5)
    assert made.winners("q2") == (["half"], 0.5)
    assert made.winners("q3") == (["axes", "half"], 0.0)
    assert made.missed() == ["q3"]
    assert made.largest_differences("axes", "half") == [("q1", 0.5), ("q3", 0.0), ("q2", -0.5)]
    assert made.largest_differences("half", "axes") == [("q2", 0.5), ("q3", 0.0), ("q1", -0.5)]
    assert made.default_pair() == ("axes", "half")
    message = "No system 'nope' in this comparison. It has: axes"
    refused(UnknownNameError, message, made.largest_differences, "axes", "nope")


def test_the_default_pair_is_the_baseline_and_the_best_other(compass):
    compass.build("bm25", lexical=True)
    made = compare(compass, ["half", "axes", "bm25"], QUERIES, QRELS, baseline="axes")
    assert made.default_pair() == ("axes", "bm25")
    families = {"half": "static", "axes": "contextual", "bm25": "lexical"}
    rows = {name: replace(row, family=families[name]) for name, row in made.rows.items()}
    assert replace(made, rows=rows).default_pair() == ("half", "axes")
    assert compare(compass, ["axes"], QUERIES, QRELS).default_pair() is None


def test_without_judgments_there_are_no_winners(compass):
    made = compare(compass, ["axes", "half"], QUERIES)
    assert not made.judged
    message = "The comparison has no judgments. Give qrels"
    refused(InputError, message, made.winners, "q1")
    refused(InputError, message, made.largest_differences, "axes", "half")
    assert made.missed() == []
    assert made.default_pair() == ("axes", "half")


def test_a_comparison_without_texts_keeps_its_numbers_and_its_page_has_no_texts(compass, tmp_path):
    report = compare(compass, ["axes", "half"], QUERIES, QRELS)
    bare = report.without_texts()
    assert (bare.rows, bare.per_query, bare.runs) == (report.rows, report.per_query, report.runs)
    assert bare.documents == {}
    assert [query.text for query in bare.queries.values()] == ["query q1", "query q2"]
    assert [query.judgments for query in bare.queries.values()] == list(QRELS.values())
    assert bare.ranks("q1") == report.ranks("q1")
    report = compare(compass, ["axes", "half"], {"q1": "north of nowhere"}, {"q1": {"all": 1}})
    report.write_html(tmp_path / "whole.html")
    report.without_texts().write_html(tmp_path / "bare.html")
    whole, bare = ((tmp_path / f"{name}.html").read_text() for name in ("whole", "bare"))
    for text in ("north of nowhere", "north east up"):
        assert text in whole
        assert text not in bare


def test_json_has_one_object_per_line(compass):
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


def test_the_ir_measures_command_finds_the_same_values_in_the_written_runs(collection, tmp_path):
    words = ["kitten", "purrs", "engine", "idles", "rumble", "April", "tax", "soft", "end", "due"]
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
    collection.add(documents)
    collection.build("wide", HashingEmbedder())
    collection.build("narrow", HashingEmbedder(dim=8))
    report = compare(collection, ["wide", "narrow"], queries, qrels)
    write_qrels(tmp_path / "test.qrels", qrels)
    paths = report.write_runs(tmp_path / "a" / "runs")
    assert [path.name for path in paths] == ["wide.trec", "narrow.trec"]
    for path, (name, row) in zip(paths, report.rows.items(), strict=True):
        # MRR@10 is not pytrec_eval's, and orders equal scores another way.
        untied = write_without_ties(path, tmp_path / f"{name}.untied")
        theirs = ir_measures(tmp_path / "test.qrels", path, ["nDCG@10", "R@10", "R@100"])
        theirs |= ir_measures(tmp_path / "test.qrels", untied, ["RR@10"])
        assert theirs == {measure: f"{value:.4f}" for measure, value in row.quality.items()}, name


def test_a_run_that_trec_cannot_hold_is_refused(collection, tmp_path):
    build_axes(collection, **{"two words": "north"})
    write_runs = compare(collection, ["axes"], {"q": "north"}).write_runs
    refused(InputError, "'two words' holds white space", write_runs, tmp_path / "runs")
    (tmp_path / "file").touch()
    message = "file/runs cannot be made: Not a directory."
    refused(InputError, message, write_runs, tmp_path / "file" / "runs")


def test_the_judged_share_is_that_of_the_hits_with_any_grade(compass):
    # `axes` finds four documents for q1, of which two have a grade; k counts, found or not.
    qrels = {"q1": {"n": 1, "e": 0}}
    made = compare(compass, ["axes"], {"q1": "north"}, qrels, k=4)
    assert made.rows["axes"].judged_share == 0.5
    assert compare(compass, ["axes"], {"q1": "north"}).rows["axes"].judged_share is None


def test_systems_with_fewer_judged_hits_are_noted_where_irrelevant_documents_were_judged(compass):
    runs = {"one": {"q1": ["n", "e"]}, "two": {"q1": ["u", "all"]}}
    queries, options = {"q1": "north"}, {"k": 2, "runs": runs}
    made = compare(compass, [], queries, {"q1": {"n": 1, "e": 0}}, **options)
    (note,) = [note for note in made.notes if "judgment" in note]
    assert note.startswith("Of the top 2, up to 100 % have a judgment, but fewer of two 0 %: hits")
    made = compare(compass, [], queries, {"q1": {"n": 1, "e": 1}}, **options)
    assert not any("judgment" in note for note in made.notes)


def test_all_pairs_are_compared_on_request(compass):
    queries, qrels = {"q1": "north", "q2": "up"}, {"q1": {"n": 1}, "q2": {"u": 1}}
    asked = {"pairs": True, "measures": ["RR@10", "P@1"]}
    made = compare(compass, ["axes", "half"], queries, qrels, **asked)
    assert {pair: list(of) for pair, of in made.pairs.items()} == {
        ("axes", "half"): ["RR@10", "P@1"]
    }
    mean = made.rows["half"]["P@1"] - made.rows["axes"]["P@1"]
    assert made.difference_of("half", "axes", "P@1")[0] == mean
    assert "P@1" in json.loads(made.to_json().splitlines()[0])["pairs"]["half"]
    assert compare(compass, ["axes", "half"], queries, qrels).pairs == {}
