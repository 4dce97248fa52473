"""Measures against values worked out by hand, and against the ir_measures command."""

import copy
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes.errors import InputError, UnknownNameError
from retriever.evaluation.measures import (
    DEFAULT_MEASURES,
    ann_recall,
    canonical,
    deepest_cutoff,
    drop_self,
    evaluate,
    mean,
    overlap,
    parse_measures,
)
from retriever.formats import read_qrels, write_qrels, write_run
from retriever.report.lines import label_of
from tests.support.commands import ir_measures
from tests.support.fresh import printed_by
from tests.support.oracles.trec import write_without_ties
from tests.support.toy import exactly, refused

# Query 1 finds nothing judged first, then grade 1, then grade 2; it misses another of grade 1.
QRELS = {"1": {"a": 2, "b": 1, "c": 1, "z": 0}, "2": {"a": 1}, "3": {"b": 0}}
RUN = {"1": [("x", 0.9), ("b", 0.8), ("a", 0.7), ("z", 0.6)], "9": [("a", 1.0)]}


def ranked(*doc_ids):
    return [(doc_id, -float(rank)) for rank, doc_id in enumerate(doc_ids)]


def test_measures_get_their_canonical_names_once_each_and_in_order():
    names = ["MRR@10", "NDCG@5", " Recall@100 ", "RR@10", "MAP", "R( rel = 2 )@10"]
    assert parse_measures(names) == ("RR@10", "nDCG@5", "R@100", "AP", "R(rel=2)@10")
    assert parse_measures(DEFAULT_MEASURES) == DEFAULT_MEASURES
    assert parse_measures([]) == ()
    names = [*DEFAULT_MEASURES, "AP", "AP(rel=2)@10", "RR(rel=2)@10", "R(rel=2)@20", "Rprec"]
    labels = ["MAP", "MAP(rel=2)@10", "MRR(rel=2)@10", "recall(rel=2)@20", "Rprec"]
    assert [label_of(name) for name in names[-5:]] == labels
    assert [canonical(label_of(name)) for name in names] == names


COMMON = ["recall@10 R@10", "RECALL(rel=2)@10 R(rel=2)@10", "mrr@10 RR@10", "Mrr RR"]
COMMON += ["map@100 AP@100", "MAP AP", "precision@5 P@5", "ndcg@10 nDCG@10", "nDCG@10 nDCG@10"]


@pytest.mark.parametrize("names", COMMON)
def test_common_names_of_measures_are_accepted(names):
    name, expected = names.split()
    assert canonical(name) == expected
    assert evaluate(RUN, QRELS, [name]) == evaluate(RUN, QRELS, [expected])


@pytest.mark.parametrize(
    "name",
    [
        "R",  # needs a cutoff
        "nDCG@0",  # would end the process in trec_eval
        *("nDCG@-1", "nDCG@1.5", "nDCG@x", "nDCG@True", "nDCG(2)@10", "nDCG@10 R@10"),
        *("R(rel=0)@10", "R(rel=)@10", "R(depth=3)@10", "Rprec@5", f"R@{2**31}", f"R@{2**70}"),
        *("Accuracy@5", "Accuracy(rel=2)@5", ""),
        "NumRet",  # a count: summed, not averaged
        "ERR@10",  # computed by a Perl script only
        "RBP",  # needs a package that is not a dependency
    ],
)
def test_a_measure_that_cannot_be_computed_is_refused(name):
    known = f"No measure '{name}'."
    if name:
        known = (
            f"'{name}' cannot be computed: a cutoff is a whole number from 1, options are those of "
            "ir_measures, and some of its measures need packages or programs that are not "
            "installed, or are no mean over queries."
        )
    message = exactly(
        f"{known} Examples of known measures: nDCG@10, R@10 or recall@10, RR@10 or MRR@10, AP or "
        "MAP, P@5 or precision@5, Success@1."
    )
    refused(UnknownNameError, message, parse_measures, ["nDCG@10", name])
    refused(UnknownNameError, message, canonical, name)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("r@10", "'R@10' or 'RR@10'"),  # ir_measures' own names are case-sensitive
        ("nDGC@10", "'nDCG@10'"),
        ("recal@5", "'recall@5'"),
    ],
)
def test_a_mistyped_measure_gets_a_suggestion(name, meant):
    with pytest.raises(UnknownNameError, match=rf"Success@1\. Did you mean {meant}\?$"):
        parse_measures([name])


def test_wrong_measures_are_reported_together():
    message = "No measures 'foo', 'bar@1'"
    refused(UnknownNameError, message, parse_measures, ["foo", "P@5", "bar@1"])
    message = "The measures are one string, 'nDCG@10'"
    refused(InputError, message, parse_measures, "nDCG@10")


def test_the_deepest_cutoff():
    assert deepest_cutoff(DEFAULT_MEASURES) == 100
    assert deepest_cutoff(["P@5", "R(rel=2)@7"]) == 7
    assert deepest_cutoff(["nDCG@10", "AP"]) is None
    assert deepest_cutoff(["IPrec@0.1"]) is None
    assert deepest_cutoff([]) is None


def test_ndcg_has_linear_gain_and_a_logarithmic_discount():
    second = 1 / math.log2(3)
    found = second + 2 / math.log2(4)
    ideal = 2 / math.log2(2) + second + 1 / math.log2(4)
    values = evaluate(RUN, QRELS, ["nDCG@10", "nDCG@2"])
    assert values["nDCG@10"]["1"] == pytest.approx(found / ideal, abs=1e-9)
    assert values["nDCG@2"]["1"] == pytest.approx(second / (2 + second), abs=1e-9)


def test_recall_precision_and_reciprocal_rank():
    values = evaluate(RUN, QRELS, ["R@2", "R@10", "R(rel=2)@3", "P@4", "RR@10", "RR@1", "AP"])
    expected = {"R@2": 1 / 3, "R@10": 2 / 3, "R(rel=2)@3": 1.0, "P@4": 2 / 4}
    expected |= {"RR@10": 1 / 2, "RR@1": 0.0, "AP": (1 / 2 + 2 / 3) / 3}
    found = {name: of_query["1"] for name, of_query in values.items()}
    assert found == pytest.approx(expected)


def test_every_judged_query_counts_and_no_other():
    values = evaluate({**RUN, "2": []}, QRELS, ["MRR@10", "Judged@10", "nDCG@10"])
    assert list(values) == ["RR@10", "Judged@10", "nDCG@10"]
    assert values["RR@10"] == {"1": 0.5, "2": 0.0, "3": 0.0}
    assert values["Judged@10"] == {"1": 0.75, "2": 0.0, "3": 0.0}
    assert [list(of_query) for of_query in values.values()] == [["1", "2", "3"]] * 3


def test_nothing_found_or_nothing_judged():
    assert evaluate({}, QRELS, ["R@10"]) == {"R@10": {"1": 0.0, "2": 0.0, "3": 0.0}}
    assert evaluate({"1": []}, {"1": {}}, ["R@10"]) == {"R@10": {"1": 0.0}}
    assert evaluate(RUN, {"1": {}}, DEFAULT_MEASURES)["RR@10"] == {"1": 0.0}
    assert evaluate(RUN, {}, ["R@10"]) == {"R@10": {}}
    assert evaluate(RUN, QRELS, []) == {}


def test_hits_are_ranked_by_score_and_numbers_may_be_those_of_numpy():
    shuffled = {"2": [("b", 0.1), ("a", 0.9)]}
    assert evaluate(shuffled, QRELS, ["RR@1"])["RR@1"]["2"] == 1.0
    arrays = {"2": [("b", np.float32(0.5)), ("a", np.float32(0.4))]}
    assert evaluate(arrays, QRELS, ["RR@10"])["RR@10"]["2"] == 0.5
    qrels = {"q": {"a": np.int64(2), "b": np.int32(0)}}
    assert evaluate({"q": [("a", 1.0)]}, qrels, ["nDCG@10"]) == {"nDCG@10": {"q": 1.0}}


@pytest.mark.parametrize(
    ("hits", "grade", "message"),
    [
        ([("a", 1.0), ("a", 0.5)], 1, "Query 'q' has the same document at two ranks"),
        ([("a", 1.0)], 5_000_000_000, "The grade of 'a' for query 'q' is 5000000000; expected"),
        ([("b", math.nan), ("a", 1.0)], 1, "The score of 'b' for query 'q' is nan"),
    ],
)
def test_invalid_runs_and_judgments_are_refused(hits, grade, message):
    refused(InputError, message, evaluate, {"q": hits}, {"q": {"a": grade}}, ["nDCG@10"])


def test_dropping_the_query_itself_changes_neither_other_hits_nor_the_arguments():
    run, qrels = copy.deepcopy(RUN), copy.deepcopy(QRELS)
    evaluate(run, qrels, [*DEFAULT_MEASURES, "AP", "Judged@5"])
    drop_self(run)
    overlap(run, run, 2)
    assert (run, qrels) == (RUN, QRELS)
    run = {"a": [("a", 1.0), ("b", 0.5)], "b": [("a", 1.0)], "c": []}
    assert drop_self(run) == {"a": [("b", 0.5)], "b": [("a", 1.0)], "c": []}


def test_the_mean_over_queries():
    assert mean({"1": 0.5, "2": 0.0, "3": 1.0}) == 0.5
    refused(InputError, "There are no queries to average over", mean, {})


def test_the_ir_measures_command_finds_the_same_values_in_the_written_run(data, tmp_path):
    qrels = read_qrels(data / "adi" / "qrels" / "test.tsv")
    # Scores with many ties, and three queries without hits.
    random = np.random.default_rng(7)
    run = {
        query_id: sorted(
            ((str(doc_id + 1), round(float(random.random()), 1)) for doc_id in range(82)),
            key=lambda hit: -hit[1],
        )
        for query_id in list(qrels)[3:]
    }
    write_run(tmp_path / "run.trec", run, "random")
    write_qrels(tmp_path / "test.qrels", qrels)
    measures = [*DEFAULT_MEASURES, "AP"]
    values = evaluate(run, qrels, measures)
    ours = {name: f"{mean(of_query):.4f}" for name, of_query in values.items()}
    # MRR@10 is not pytrec_eval's, and orders equal scores another way.
    untied = write_without_ties(tmp_path / "run.trec", tmp_path / "untied.trec")
    theirs = ir_measures(tmp_path / "test.qrels", tmp_path / "run.trec", measures)
    assert ours == theirs | ir_measures(tmp_path / "test.qrels", untied, ["RR@10"])
    assert ours == ir_measures(tmp_path / "test.qrels", untied, measures)
    assert all(0 < float(value) < 1 for value in ours.values())


def test_overlap_counts_what_both_found_in_any_order():
    a = {"1": ranked("x", "y", "z"), "2": ranked("x", "y", "z")}
    b = {"1": ranked("z", "x", "w"), "2": ranked("p", "q", "x")}
    # Query 1 shares x of the first two and x, z of three; query 2 nothing, then x.
    assert overlap(a, b, 2) == (1 / 2 + 0) / 2
    assert overlap(a, b, 3) == (2 / 3 + 1 / 3) / 2
    assert overlap({"1": ranked("x", "y")}, {"1": ranked("y", "x")}, 10) == 1.0
    assert overlap({"1": ranked("x", "y")}, {"1": ranked("y")}, 10) == 0.5
    a = {"1": ranked("x"), "2": ranked("x"), "3": [], "4": []}
    b = {"1": ranked("x"), "3": [], "5": ranked("x")}
    # Queries 2 and 5 were answered once: zero. Queries 3 and 4 by neither: left out.
    assert overlap(a, b, 10) == 1 / 3
    assert overlap({"1": []}, {"1": []}, 10) == 0.0
    assert overlap({}, {}, 10) == 0.0


RUNS = st.dictionaries(
    st.sampled_from("1234"),
    st.lists(st.sampled_from("abcdef"), unique=True, min_size=1).map(lambda ids: ranked(*ids)),
    min_size=1,
)


@given(a=RUNS, b=RUNS, k=st.integers(1, 8))
def test_overlap_is_1_with_itself_and_symmetric(a, b, k):
    assert overlap(a, a, k) == 1.0
    assert overlap(a, b, k) == overlap(b, a, k)


def test_ann_recall_counts_scores_that_reach_the_exact_kth():
    exact = [[0.9, 0.8, 0.7, 0.6], [0.5, 0.4, 0.3, 0.2]]
    assert ann_recall([[0.9, 0.7, 0.6], [0.5, 0.4, 0.3]], exact, 3) == (2 / 3 + 1) / 2
    assert ann_recall([[0.9, 0.6, 0.6], [0.1]], exact, 1) == 1 / 2
    # Any of the three documents that score 0.5 will do.
    assert ann_recall([[0.9, 0.5]], [[0.9, 0.5, 0.5, 0.5]], 2) == 1.0
    assert ann_recall([[0.5, 0.5, 0.5]], [[0.5, 0.5, 0.5]], 2) == 1.0
    assert ann_recall([[0.9, 0.5 - 5e-7]], [[0.9, 0.5]], 2) == 1.0
    assert ann_recall([[0.9, 0.5 - 5e-6]], [[0.9, 0.5]], 2) == 0.5
    # Faiss pads short answers.
    assert ann_recall([[0.9, -3.4e38]], [[0.9, 0.5]], 2) == 0.5
    assert ann_recall([[math.nan, 0.9]], [[0.9, 0.5]], 2) == 0.5
    assert ann_recall([[]], [[0.9, 0.5]], 2) == 0.0
    # A k beyond the corpus, and queries without an exact answer.
    assert ann_recall([[0.9, 0.5]], [[0.9, 0.5]], 100) == 1.0
    assert ann_recall([[], [0.4]], [[], [0.9]], 10) == 0.0
    assert ann_recall([[]], [[]], 10) == 1.0
    assert ann_recall([], [], 10) == 1.0
    array = np.array([[0.9, 0.8], [0.5, 0.4]], dtype=np.float32)
    assert ann_recall(array, array, 2) == 1.0


@given(st.lists(st.lists(st.floats(-1, 1, width=32), max_size=12)), st.integers(1, 15))
def test_an_exact_index_has_an_ann_recall_of_1(scores, k):
    exact = [sorted(row, reverse=True) for row in scores]
    assert ann_recall([row[:k] for row in exact], exact, k) == 1.0


def test_an_invalid_k_and_different_numbers_of_queries_are_refused():
    refused(InputError, "k is 0; expected at least 1", overlap, {}, {}, 0)
    refused(InputError, "k is -1; expected at least 1", ann_recall, [], [], -1)
    message = "1 queries were searched and 2 exactly"
    refused(InputError, message, ann_recall, [[1.0]], [[1.0], [1.0]], 1)


def test_importing_the_module_imports_no_engine():
    code = "import sys, retriever.evaluation.measures; print('ir_measures' in sys.modules)"
    assert printed_by(code) == "False\n"
