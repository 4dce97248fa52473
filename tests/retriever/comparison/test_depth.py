"""Ties at the cutoff: how deep a run is does not change which of equal documents count."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.errors import InputError
from retriever import Collection, Document, Run, compare
from retriever.comparison import system_run
from retriever.evaluation.measures import trec_order
from tests.support.laws import examples
from tests.support.toy import Axes, exactly, refused

WORDS = ("north", "east", "up")
SHALLOW = ("nDCG@2", "RR@2", "P@2", "R@2", "Success@2")


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """Sixty documents with seven texts, under every kind of index; ids run against their order."""
    texts = ["north", "east", "up", "north east", "east up", "north up up", "fog"]
    with Collection.create(tmp_path_factory.mktemp("copies") / "c") as collection:
        collection.add(Document(f"d{(7 * n) % 60:02}", texts[n % 7]) for n in range(60))
        collection.build("axes", Axes())
        collection.build("graph", vectors="axes", ann="HNSW16")
        collection.build("bm25", lexical=True)
        collection.fuse("both", ["axes", "bm25"])
        collection.cascade("deep", "bm25", "axes")
        yield collection


def results(collection, *measures, k=2, **options):
    queries = {"q1": "north", "q2": "up east", "d03": "east"}
    qrels = {query_id: {f"d{n:02}": n % 3 for n in range(60)} for query_id in queries}
    indexes = ["axes", "graph", "bm25", "both", "deep"]
    return compare(collection, indexes, queries, qrels, measures=measures, k=k, **options)


@pytest.mark.parametrize("drop", [False, True])
def test_deeper_measures_change_no_shallow_one(copies, drop):
    alone = results(copies, *SHALLOW, drop_self=drop)
    for deeper in ({"k": 20}, {"k": 59}, {"measure": "R@7"}, {"measure": "AP"}):
        measures = [*SHALLOW, *([deeper["measure"]] if "measure" in deeper else [])]
        made = results(copies, *measures, k=deeper.get("k", 2), drop_self=drop)
        for name, of in alone.per_query.items():
            assert of.items() <= made.per_query[name].items(), (name, deeper)
            for query_id, hits in alone.runs[name].ranking.items():
                assert hits == made.runs[name].ranking[query_id][:2], (name, query_id)


def test_of_equal_documents_the_last_ids_are_kept(copies):
    ranking = results(copies, "P@2").runs["axes"].ranking
    found = copies.retriever("axes").run({"q1": "north"}, 60).ranking["q1"]
    assert ranking["q1"] == trec_order(found)[:2]
    best = sorted((doc_id for doc_id, score in found if score == 1.0), reverse=True)
    assert [doc_id for doc_id, _ in ranking["q1"]] == best[:2]


@given(st.lists(st.sampled_from(["north", "east", "up", "north up"]), min_size=1, max_size=12))
@settings(max_examples=examples(4), deadline=None)
def test_depth_changes_nothing_in_any_collection(tmp_path_factory, texts):
    with Collection.create(tmp_path_factory.mktemp("some") / "c") as collection:
        collection.add(Document(f"{n}", text) for n, text in enumerate(texts))
        collection.build("bm25", lexical=True)
        queries, qrels = {"q": "north up"}, {"q": {f"{n}": 1 for n in range(0, len(texts), 2)}}
        values = [
            compare(collection, ["bm25"], queries, qrels, k=1, measures=measures)
            for measures in (["RR@1"], ["RR@1", "R@3"], ["RR@1", "AP"])
        ]
        assert len({made.rows["bm25"]["RR@1"] for made in values}) == 1


def test_queries_judgments_and_runs_may_have_any_form_with_one_meaning(compass):
    queries, qrels = {1: "north", "2": "up"}, {1: {"all"}, 2: {"u": 2.0, "n": -1}}
    runs = {"dicts": {1: {"n": 0.5, "all": 1}}, "lists": {"1": ["all", "n"]}}
    runs["run"] = Run.of("other", {1: [("all", 1.0), ("n", 0.5)]})
    made = compare(compass, ["axes"], queries, qrels, runs=runs, measures=["RR@10", "R@1"])
    for name in runs:
        assert made.rows[name].quality == {"RR@10": 0.5, "R@1": 0.5}
        assert [doc_id for doc_id, _ in made.runs[name].ranking["1"]] == ["all", "n"]
    assert list(made.queries) == ["1", "2"]
    assert made.queries["2"].judgments == {"u": 2, "n": -1}


@pytest.mark.parametrize(
    ("queries", "options", "message"),
    [
        (["north"], {}, "Expected the queries as a mapping with query ids as keys; got list."),
        ({1: "up", "1": "up"}, {},
         "In the queries, '1' is a query id twice: as a number and as text."),
        ({"q": 7}, {}, "Query 'q' is int; expected text."),
        ({"q": "up"}, {"qrels": {"q": {"u": 0.5}}},
         "The grade of 'u' for query 'q' is 0.5; expected a whole number."),
        ({"q": "up"}, {"qrels": ["q"]},
         "Expected the qrels as a mapping with query ids as keys; got list."),
        ({"q": "up"}, {"runs": [Run.of("a", {})]},
         "Expected the runs as a mapping with names as keys; got list."),
        ({"q": "up"}, {"runs": {"a": [["q", "u"]]}},
         "Expected the run as a mapping with query ids as keys; got list."),
    ],
)  # fmt: skip
def test_what_has_no_clear_meaning_is_refused(compass, queries, options, message):
    refused(InputError, exactly(message), compare, compass, ["axes"], queries, **options)


def test_hits_that_tie_are_fetched_to_a_depth_and_no_deeper(collection, monkeypatch):
    collection.add(Document(f"d{n:02}", "north") for n in range(60))
    collection.build("axes", Axes())
    monkeypatch.setattr(system_run, "DEEPEST", 20)
    # Of twenty, those that were added first, the last ids come first.
    hits = compare(collection, ["axes"], {"q": "north"}, k=2).runs["axes"].ranking["q"]
    assert [doc_id for doc_id, _ in hits] == ["d19", "d18"]
    hits = compare(collection, ["axes"], {"q": "north"}, k=9).runs["axes"].ranking["q"]
    assert [doc_id for doc_id, _ in hits][:2] == ["d39", "d38"]


@pytest.mark.parametrize(("deepest", "is_noted"), [(19, True), (20, False), (60, False)])
def test_more_equal_hits_than_are_fetched_are_noted(collection, monkeypatch, deepest, is_noted):
    collection.add(Document(f"d{n:02}", "north" if n < 20 else "up") for n in range(60))
    collection.build("axes", Axes())
    monkeypatch.setattr(system_run, "DEEPEST", deepest)
    notes = compare(collection, ["axes"], {"q": "north", "r": "fog"}, k=2).notes
    why = "'axes' has more equal scores at the cutoff than the 19 hits that are looked at, for "
    why += "1 query: q. Of these documents, those that were added first count."
    assert [note for note in notes if "equal" in note] == [why] * is_noted
