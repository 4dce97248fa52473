"""Tuning of fusion weights: what it finds, that it is what `compare` computes, what it refuses."""

import shlex
from pathlib import Path

import pytest

from indexes.errors import InputError
from retriever import Collection, compare
from retriever.advice import shell_command
from retriever.comparison.tuning import tune_fusion
from retriever.search.combinations.fusion import fusion_definition
from tests.support.commands import succeed
from tests.support.toy import Axes, build_axes, refused

# `axes` answers both queries, `half` only the second.
TRAIN = ({"t1": "north", "t2": "up"}, {"t1": {"n": 1}, "t2": {"u": 1}})
TEST = ({"q1": "east", "q2": "north east"}, {"q1": {"e": 1}, "q2": {"n": 1}})
MEASURE = "RR@10"


@pytest.fixture(params=["rrf", "minmax", "convex"])
def fused(compass, request):
    compass.build("bm25", lexical=True)
    compass.fuse("fused", ["half", "axes", "bm25"], method=request.param, weights=[8, 1, 1])
    return compass


def test_values_before_and_after_are_those_that_compare_computes(fused):
    found = tune_fusion(fused, "fused", *TRAIN, *TEST, measure="MRR@10")
    found.save(fused, "tuned")
    for (queries, qrels), values in ((TRAIN, found.train), (TEST, found.test)):
        made = compare(fused, ["fused", "tuned"], queries, qrels, measures=[MEASURE])
        expected = [row[MEASURE] for row in made.rows.values()]
        assert list(values) == pytest.approx(expected)
    assert (found.measure, found.parts) == (MEASURE, ("half", "axes", "bm25"))
    assert sum(found.weights) == pytest.approx(1)
    options = fused.index_info("tuned").options
    before = fused.index_info("fused").options
    assert options["weights"] == list(found.weights)
    assert {**options, "weights": 0} == {**before, "weights": 0}


@pytest.mark.parametrize("method", ["minmax", "convex"])
@pytest.mark.parametrize("drop_self", [False, True])
def test_values_are_those_of_a_depth_below_the_number_of_documents(compass, method, drop_self):
    compass.fuse("fused", ["half", "axes"], method=method, depth=2)
    queries = {"e": "up east", "n": "north east", "other": "up"}
    qrels = {"e": {"e": 2, "all": 1}, "n": {"all": 1}, "other": {"u": 1}}
    options = {"drop_self": drop_self}
    found = tune_fusion(compass, "fused", queries, qrels, measure="nDCG@3", **options)
    found.save(compass, "tuned")
    names = ["fused", "tuned"]
    made = compare(compass, names, queries, qrels, measures=["nDCG@3"], **options)
    assert list(found.train) == pytest.approx([row["nDCG@3"] for row in made.rows.values()])


def test_queries_are_encoded_once(compass):
    encoded = []

    class Counting(Axes):
        def encode_queries(self, texts):
            encoded.extend(texts)
            return super().encode_queries(texts)

    compass.build("counting", Counting("counting", words=("up", "north")))
    compass.fuse("fused", ["axes", "counting"], method="convex")
    encoded.clear()
    tune_fusion(compass, "fused", *TRAIN, measure=MEASURE)
    assert sorted(encoded) == sorted(TRAIN[0].values())


@pytest.mark.parametrize(
    "options",
    [{}, {"method": "convex", "depth": 7}, {"method": "rrf", "rrf_k": 5}, {"method": "minmax"}],
)
def test_the_command_that_is_printed_builds_the_fusion_that_was_tuned(
    tmp_path, monkeypatch, options
):
    monkeypatch.chdir(tmp_path)
    with Collection.create("a library") as library:
        build_axes(library, n="north", e="east", u="up")
        library.build("half", Axes("half", words=("east", "up")))
        library.fuse("fused", {"half": 9, "axes": 1}, **options)
        found = tune_fusion(library, "fused", {"t": "north"}, {"t": {"n": 1}}, measure="RR@10")
        found.save(library, "saved")
    Path("q.jsonl").write_text('{"_id": "t", "text": "north"}')
    Path("j.tsv").write_text("query-id\tcorpus-id\tscore\nt\tn\t1\n")
    # The embedders are the test's own: only what is printed is looked at.
    printed = shell_command("build", Path("a library"), "printed", *found.build_options)
    assert printed.startswith("retriever build 'a library' printed --fuse half=")
    succeed(*shlex.split(printed)[1:])
    with Collection.open("a library") as library:
        assert library.index_info("printed").options == library.index_info("saved").options


def test_a_fusion_with_a_k_that_its_method_does_not_use_is_tuned_and_saved(compass):
    """An earlier version took it."""
    definition = {**fusion_definition(2, method="minmax"), "rrf_k": 10.0}
    compass._store.combine("fused", ["half", "axes"], definition)
    found = tune_fusion(compass, "fused", *TRAIN, measure=MEASURE)
    assert "--rrf-k" not in found.build_options
    found.save(compass, "saved")
    assert compass.index_info("saved").options["weights"] == list(found.weights)


def test_the_training_measure_never_falls(fused):
    found = tune_fusion(fused, "fused", *TRAIN, measure=MEASURE)
    before, after = found.train
    assert after >= before
    assert found.test is None
    assert found.tried > 19


def test_a_bad_part_loses_its_weight(compass):
    compass.fuse("fused", ["half", "axes"], method="minmax", weights=[9, 1])
    found = tune_fusion(compass, "fused", {"t": "north"}, {"t": {"n": 1}}, measure=MEASURE)
    assert found.before == (0.9, 0.1)
    assert found.train[1] == 1.0
    assert found.weights[1] >= found.before[1]


def test_two_parts_are_searched_whole(compass):
    compass.fuse("fused", ["half", "axes"])
    assert tune_fusion(compass, "fused", *TRAIN).tried == 19


@pytest.mark.parametrize(
    ("queries", "says"),
    [
        ({"t1": "another", "q2": "east"}, "1 ids in common: t1"),
        ({"q1": "NORTH ", "q2": "east"}, "1 texts in common: q1"),
    ],
)
def test_test_queries_that_are_training_queries_are_refused(fused, queries, says):
    qrels = {query_id: {"e": 1} for query_id in queries}
    refused(InputError, says, tune_fusion, fused, "fused", *TRAIN, queries, qrels)


def test_only_a_fusion_has_weights(compass):
    compass.cascade("cascade", "half", "axes")
    for name in ("axes", "cascade"):
        refused(InputError, f"'{name}' is not a fusion", tune_fusion, compass, name, *TRAIN)
