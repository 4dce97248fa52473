"""Tests of what `compare` computes and notes: quality, agreement, runs, missing documents."""

import math
import re

import pytest

from indexes.errors import InputError, UnknownNameError
from retriever import Document, Run, compare
from retriever.comparison import system_run
from retriever.evaluation.evaluate_runs import evaluate_runs
from retriever.evaluation.results import Agreement
from retriever.search.retriever import Retriever
from tests.support.toy import COMPASS, QRELS, QUERIES, SECOND, Axes, exactly, lacks, refused

JUDGED = {"qrels": QRELS}
RUN_NAMED_TWICE = r"twice: axes, axes\. Leave one out, or rename"


def ranked(report, query_id, name="axes"):
    return [doc_id for doc_id, _ in report.runs[name].ranking[query_id]]


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


def test_grades_and_ties_count_as_in_trec_eval(compass):
    # q2 is answered e, all, u, n: gains 1, 3, 0, 0 against the ideal 3, 1.
    report = compare(compass, ["axes"], QUERIES, {"q2": {"all": 3, "e": 1}})
    expected = (1 + 3 * SECOND) / (3 + 1 * SECOND)
    assert report.rows["axes"]["nDCG@10"] == pytest.approx(expected)
    # q1 is answered n, all, and then e and u with 0 each: trec_eval takes the later id first.
    report = compare(compass, ["axes"], QUERIES, {"q1": {"e": 1}})
    assert report.rows["axes"]["nDCG@10"] == pytest.approx(1 / math.log2(5))
    assert ranked(report, "q1") == ["n", "all", "u", "e"]


def test_measures_have_any_of_their_names_and_runs_are_as_deep_as_the_deepest(compass):
    report = compare(compass, ["axes"], QUERIES, QRELS, measures=["MRR@10", "P@1", "AP"])
    assert report.rows["axes"].quality == {"RR@10": 0.5, "P@1": 0.0, "AP": 0.5}
    assert report.runs["axes"].k == 1000
    run = compare(compass, ["axes"], QUERIES, QRELS, measures=["P@5", "R@50"]).runs["axes"]
    assert (run.name, run.k) == ("axes", 50)


def test_a_query_that_is_a_document_finds_it_unless_it_is_dropped(compass):
    queries, qrels, measures = {"n": "north"}, {"n": {"e": 1}}, ["R@1", "R@2", "R@3"]
    options = {"k": 2, "measures": measures}
    report = compare(compass, ["axes"], queries, qrels, **options)
    assert ranked(report, "n") == ["n", "all", "u"]
    # e and u have 0 each.
    assert report.rows["axes"].quality == {"R@1": 0.0, "R@2": 0.0, "R@3": 0.0}
    report = compare(compass, ["axes"], queries, qrels, drop_self=True, **options)
    # Dropping it costs no depth.
    assert ranked(report, "n") == ["all", "u", "e"]
    assert report.rows["axes"].quality == {"R@1": 0.0, "R@2": 0.0, "R@3": 1.0}
    found = [compare(compass, ["axes"], queries, k=1, drop_self=drop) for drop in (False, True)]
    assert [ranked(report, "n") for report in found] == [["n"], ["all"]]


@pytest.mark.parametrize(("drop", "reciprocal"), [(True, 1.0), (False, 0.5)])
def test_hits_that_are_the_query_are_dropped_or_kept_for_all_alike(compass, drop, reciprocal):
    queries, qrels = {"n": "north"}, {"n": {"all": 1}}
    options = {"runs": {"other": Run.of("other", {"n": [("n", 2.0), ("all", 1.0)]})}}
    options |= {"drop_self": drop, "measures": ["RR@10"]}
    made = compare(compass, ["axes"], queries, qrels, **options)
    assert [row["RR@10"] for row in made.rows.values()] == [reciprocal, reciprocal]
    assert ranked(made, "n", "other") == ["n", "all"][drop:]


# q1: n and nothing; q2: e and all, then both find e and all, then three of four.
@pytest.mark.parametrize(("k", "shared"), [(1, 0.0), (2, 0.5), (10, 0.375)])
def test_overlap_is_as_worked_out_by_hand(compass, k, shared):
    report = compare(compass, ["axes", "half"], QUERIES, k=k)
    assert list(report.pairwise) == [("axes", "half")]
    assert report.agreement("axes", "half").overlap == shared
    assert report.agreement("half", "axes") is report.agreement("axes", "half")


def test_every_pair_is_compared_once(compass):
    compass.build("graph", vectors="axes", ann="HNSW8")
    report = compare(compass, ["graph", "half", "axes"], QUERIES)
    assert list(report.pairwise) == [("graph", "half"), ("graph", "axes"), ("half", "axes")]
    assert report.pairwise["graph", "axes"] == Agreement(1, 1)
    assert [report.rows[name].ann_recall for name in report.rows] == [1.0, 1.0, 1.0]


def test_without_judgments_there_are_no_qualities(compass):
    report = compare(compass, ["axes", "half"], QUERIES)
    assert not report.judged
    assert report.per_query == {"axes": {}, "half": {}}
    assert [row.quality for row in report.rows.values()] == [{}, {}]
    assert [report.runs[name].k for name in report.runs] == [10, 10]
    with pytest.raises(KeyError):
        report.rows["axes"]["nDCG@10"]


def test_the_arguments_are_not_changed(compass):
    queries, qrels = dict(QUERIES), {key: dict(grades) for key, grades in QRELS.items()}
    names = ["axes"]
    compare(compass, names, queries, qrels)
    assert (names, queries, qrels) == (["axes"], QUERIES, QRELS)


def test_with_many_queries_only_the_most_disputed_have_excerpts(compass, monkeypatch):
    monkeypatch.setattr("retriever.comparison.compare.MOST_EXCERPTS", 1)
    queries = {"same": "up", "apart": "north up"}
    report = compare(compass, ["axes", "half"], queries, k=1)
    tops = {name: [run.ranking[q][0][0] for q in queries] for name, run in report.runs.items()}
    assert tops == {"axes": ["u", "all"], "half": ["u", "u"]}
    assert list(report.documents) == ["all", "u"]


def test_a_run_joins_the_table_under_its_name(compass, tmp_path):
    file = tmp_path / "other.trec"
    file.write_text("q2 Q0 u 1 2 x\nq2 Q0 all 2 1 x\nq2 Q0 gone 3 0.5 x\nq9 Q0 n 1 1 x\n")
    run = Run.read(file)
    made = compare(compass, ["axes"], QUERIES, QRELS, runs={run.name: run}, baseline="axes")
    assert list(made.rows) == ["axes", "other"]
    row = made.rows["other"]
    assert (row.kind, row.family, row.description) == ("run", "run", "an imported run")
    assert (row.latency, row.throughput, row.cost, row.ann_recall) == (None, None, None, None)
    assert row["nDCG@10"] == pytest.approx(SECOND / 2)
    assert made.runs["other"].ranking == {"q1": [], "q2": run.ranking["q2"]}
    assert "Run 'other' has no hits for 1 query, which count 0: q1." in made.notes
    assert "Run 'other' has hits for 1 query that are not compared: q9." in made.notes
    assert "Run 'other' has 1 document of 3 that the collection lacks: gone." in made.notes
    assert row.differences["nDCG@10"].mean == pytest.approx(-SECOND / 2)
    assert "gone" not in made.documents
    # The baseline may be a run, too.
    turned = compare(compass, ["axes"], QUERIES, QRELS, runs={"other": run}, baseline="other")
    assert turned.rows["axes"].differences["nDCG@10"].mean == pytest.approx(SECOND / 2)


def test_a_query_without_a_relevant_document_is_named(compass):
    qrels = {"q1": {"all": 1}, "q2": {"all": 0, "u": -1}}
    made = compare(compass, ["axes"], QUERIES, qrels, measures=["RR@10"])
    assert made.rows["axes"]["RR@10"] == 0.25
    note = "1 judged query has no relevant document, so all systems have a quality of 0: q2."
    assert note in made.notes
    assert evaluate_runs({"axes": made.runs["axes"]}, qrels, ["RR@10"]).notes == [note]


def test_queries_a_second_are_of_a_warm_batch(compass, monkeypatch):
    """The first batch loads modules and files."""
    asked = []
    real = Retriever.rank

    def noted(retriever, query_ids, *rest, **options):
        asked.append(list(query_ids))
        return real(retriever, query_ids, *rest, **options)

    monkeypatch.setattr(Retriever, "rank", noted)
    monkeypatch.setattr(system_run, "WARM_SECONDS", math.inf)
    queries = {f"q{n}": "north" for n in range(300)}
    compare(compass, ["half"], queries, k=1)
    assert list(map(len, asked[:5])) == [1, 1, 32, 256, 300]


def test_runs_can_be_compared_without_an_index(compass):
    runs = {name: Run.of(name, {"q1": [(name, 1.0)]}) for name in ("all", "n")}
    made = compare(compass, [], QUERIES, QRELS, runs=runs)
    assert [row["nDCG@10"] for row in made.rows.values()] == [0.5, 0.0]
    assert made.fronts() == {"latency": [], "building": []}
    assert "recall@10" in str(made)


def test_one_or_several_missing_queries_judgments_and_documents_are_noted(compass):
    qrels = {**QRELS, "x1": {"e": 1}, "q2": {"all": 1, "gone": 2, "nil": 0}}
    made = compare(compass, ["axes"], {**QUERIES, "q3": "up"}, qrels)
    assert made.notes[:3] == (
        "1 query without judgments was left out: q3.",
        "1 judged query has no text, left out: x1.",
        "1 relevant document is not in the collection: gone.",
    )
    assert list(made.queries) == ["q1", "q2"]
    queries, qrels = {**QUERIES, "q3": "up", "q4": "up"}, dict(QRELS)
    qrels |= {f"x{n}": {"e": 1} for n in range(1, 6)}
    report = compare(compass, ["axes"], queries, qrels)
    assert list(report.queries) == list(report.runs["axes"].ranking) == ["q1", "q2"]
    assert report.notes[:2] == (
        "2 queries without judgments were left out: q3, q4.",
        "5 judged queries have no text, left out: x1, x2, x3 and 2 more.",
    )


def test_a_relevant_document_that_the_collection_lacks_counts_as_not_found(compass):
    qrels = {"q1": {"all": 1, "gone": 1, "irrelevant": 0}, "q2": {"gone": 2}}
    report = compare(compass, ["axes"], QUERIES, qrels, measures=["R@10"])
    assert report.per_query["axes"]["R@10"] == {"q1": 0.5, "q2": 0.0}
    assert report.notes[0] == "1 relevant document is not in the collection: gone."


def test_a_judged_document_with_the_id_of_the_query_is_noted_where_it_is_dropped(compass):
    queries, qrels = {"n": "north", "q": "up"}, {"n": {"n": 1, "all": 1}, "q": {"u": 1}}

    def notes(*judged, **options):
        made = compare(compass, ["axes"], *judged, **options)
        return [note for note in made.notes if "own id" in note]

    (note,) = notes(queries, qrels, drop_self=True)
    assert note.startswith("A document with the query's own id is judged relevant for 1 query and")
    assert note.endswith("leave out --drop-self (drop_self=True).")
    assert notes(QUERIES, QRELS, drop_self=True) == notes(queries, qrels) == []


def test_queries_with_the_text_of_the_document_of_the_same_id_are_noted(compass):
    compass.add([Document("titled", "up and up", title="North")])
    compass.build("axes", Axes())
    queries = {"n": " North", "e": "eastward", "titled": "north up AND up", "q": "up"}

    def notes(queries, qrels=None, **options):
        made = compare(compass, ["axes"], queries, qrels, **options)
        return [note for note in made.notes if "--drop-self" in note]

    says = "the text of the document with the same id, which counts as a hit"
    step = "To leave such documents out, use --drop-self (drop_self=True)."
    two = f"2 queries have {says}: n, titled. {step}"
    assert notes(queries) == notes(queries, {key: {"u": 1} for key in queries}) == [two]
    one = f"1 query has {says}: titled. {step}"
    assert notes({"titled": "up and up"}) == [one]
    assert notes(queries, drop_self=True) == notes({"e": "up", "titled": "north"}) == []


def test_documents_that_an_index_lacks_or_cannot_embed_are_noted(compass):
    axes = "'axes': 1 document has nothing that axes can embed."
    half = "'half': 2 documents have nothing that half can embed."
    assert compare(compass, ["axes", "half"], QUERIES).notes == (axes, half)
    compass.add([Document("new", "up")])
    missing = lacks(compass, "axes", 1)
    assert compare(compass, ["axes"], QUERIES).notes == (missing, axes)
    assert compass.search("up", index="axes").notes == (missing,)
    # Those of the parts of a combination are noted once.
    compass.fuse("both", ["axes", "half"])
    compass.cascade("deep", "both", "axes")
    parts = (missing, axes, lacks(compass, "half", 1), half)
    assert compare(compass, ["deep"], QUERIES).notes == parts
    assert compare(compass, ["half", "axes", "deep"], QUERIES).notes == parts[2:] + parts[:2]


def test_measures_that_look_deeper_than_a_combination_are_noted(compass):
    compass.fuse("both", ["axes", "half"], depth=2)
    deep = compare(compass, ["both"], QUERIES, QRELS, measures=["R@3"]).notes
    assert "'both' fetches 2 documents from each part; the measures look 10 deep." in deep
    shallow = compare(compass, ["both"], QUERIES, QRELS, measures=["R@2"], k=2).notes
    assert not any("from each part" in note for note in shallow)


def test_a_collection_without_an_index_is_refused_with_the_next_step(collection):
    collection.add(COMPASS)
    message = "has no index yet. Build one: retriever build"
    refused(InputError, message, compare, collection, [], QUERIES)


def test_judgments_of_other_queries_are_refused(compass):
    message = exactly(
        "There are judgments for none of the 2 queries: they are for 301, 302; the queries are q1, "
        "q2. Give the queries and qrels of one collection."
    )
    qrels = {"301": {"a": 1}, "302": {"a": 1}}
    refused(InputError, message, compare, compass, ["axes"], QUERIES, qrels)


@pytest.mark.parametrize(
    ("names", "queries", "options", "fault"),
    [
        (["axes", "half", "axes"], QUERIES, {}, "An index is named twice: axes, half, axes"),
        (["axes", "axis"], QUERIES, {}, "No index 'axis' in .*/. It has: axes, half"),
        ("axes", QUERIES, {}, "The indexes are one string, 'axes'; expected a list"),
        ([], QUERIES, {}, "No index to compare was given. .* has: axes, half."),
        (["axes"], {}, {}, "There are no queries. Give at least one"),
        (["axes"], {"q": " "}, {}, "Query 'q' is empty"),
        (["axes"], {"a": "north", "b": " "}, {}, "Query 'b' is empty"),
        (["axes"], QUERIES, {"qrels": {}}, "they are for none; the queries are q1, q2"),
        (["axes"], QUERIES, JUDGED | {"measures": ["nCDG@10"]}, "No measure 'nCDG@10'"),
        (["axes"], QUERIES, {"k": 0}, "k is 0; expected a whole number"),
        (["axes"], QUERIES, JUDGED | {"baseline": "nope"}, "No system 'nope' .* It has: axes"),
        (["axes"], QUERIES, {"baseline": "axes"}, "A baseline needs judgments. Give qrels"),
        (["axes"], QUERIES, JUDGED | {"runs": {"axes": Run.of("axes", {})}}, RUN_NAMED_TWICE),
        (["axes"], QUERIES, JUDGED | {"baseline": "axes", "seed": -1}, "The seed is -1"),
        (["axes"], QUERIES, {"seed": "x"}, "The seed is 'x'; expected 0 or more"),
        (["axes"], QUERIES, JUDGED | {"baseline": 5}, "The baseline is 5; expected text"),
        (["axes"], QUERIES, JUDGED | {"measures": 5}, "The measures are 5; expected a sequence"),
        (["axes"], QUERIES, JUDGED | {"measures": [None]}, "The name of a measure is None"),
        (5, QUERIES, {}, "The indexes are 5; expected a list of names"),
    ],
)
def test_what_cannot_be_compared_is_refused(compass, names, queries, options, fault):
    error = UnknownNameError if re.match("No (index|measure|system) '", fault) else InputError
    refused(error, fault, compare, compass, names, queries, **options)
