"""Measures are trec_eval's, for ties, negative grades, missing queries and every provider."""

import math

import ir_measures
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.errors import UnknownNameError
from retriever.evaluation.evaluate_runs import evaluate_runs
from retriever.evaluation.measures import evaluate, mean, trec_order
from tests.support.laws import examples
from tests.support.oracles import trec
from tests.support.toy import refused

# What the oracle is asked for each measure.
MEASURES = {
    **{f"nDCG@{k}": ("nDCG", {"k": k}) for k in (1, 3, 10)},
    "nDCG": ("nDCG", {}),
    "nDCG(judged_only=True)@3": ("nDCG", {"k": 3, "judged_only": True}),
    **{f"{name}@2": (name, {"k": 2}) for name in ("P", "R", "RR", "AP", "Success", "Judged")},
    **{f"{name}@10": (name, {"k": 10}) for name in ("P", "R", "RR", "AP", "Success", "Judged")},
    **{f"{name}(rel=2)@3": (name, {"k": 3, "rel": 2}) for name in ("P", "R", "RR", "AP")},
    **{f"{name}(rel=3)": (name, {"rel": 3}) for name in ("Bpref", "Rprec", "infAP", "SetP")},
    **{name: (name, {}) for name in ("AP", "RR", "Rprec", "Bpref", "infAP")},
    **{name: (name, {}) for name in ("SetP", "SetR", "SetF", "SetAP")},
    "P(judged_only=True)@3": ("P", {"k": 3, "judged_only": True}),
    "AP(judged_only=True)": ("AP", {"judged_only": True}),
    "Success(judged_only=True)@1": ("Success", {"k": 1, "judged_only": True}),
    "SetF(beta=0.5)": ("SetF", {"beta": 0.5}),
    "IPrec@0.1": ("IPrec", {"at": 0.1}),
    "IPrec@0.6": ("IPrec", {"at": 0.6}),
}
# The rest is computed by other providers, which order equal scores another way.
OF_TREC_EVAL = [name for name in MEASURES if not name.startswith(("Judged", "RR@", "RR(rel=2)@"))]

# Query ids are document ids too; the order of ids is that of text; some scores differ by less than
# a C float shows.
IDS = ("q1", "q2", "q3", "9", "10", "a", "B", "é", "\U0001f600", "no query")
SCORES = st.sampled_from([2.0, 1.0, 1.0 + 1e-9, 1.0 - 1e-9, 0.5, 0.0, -0.0, -1.5, 1e-60, 3e38])
RUNS = st.dictionaries(
    st.sampled_from(IDS),
    st.dictionaries(st.sampled_from(IDS), SCORES).map(lambda found: list(found.items())),
)
GRADES = st.dictionaries(st.sampled_from(IDS), st.integers(-3, 4), min_size=1)
QRELS = st.dictionaries(st.sampled_from(IDS), GRADES, min_size=1)


@given(run=RUNS, qrels=QRELS)
@settings(max_examples=examples(60), deadline=None)
def test_every_measure_of_any_run_is_what_trec_evals_rules_give(run, qrels):
    values = evaluate(run, qrels, list(MEASURES))
    assert list(values) == list(MEASURES)
    for measure, (name, options) in MEASURES.items():
        expected = {
            q: trec.value(name, run.get(q, []), grades, **options) for q, grades in qrels.items()
        }
        assert values[measure] == pytest.approx(expected, abs=1e-9), measure


@given(run=RUNS, qrels=QRELS)
@settings(max_examples=examples(60), deadline=None)
def test_every_measure_of_trec_eval_is_pytrec_evals_where_that_does_not_crash(run, qrels):
    # trec_eval's library takes a query with the id "no query" for one that it has seen before.
    safe = {q: of for q, of in qrels.items() if max(of.values()) >= 0 and q != "no query"}
    values = evaluate(run, safe, OF_TREC_EVAL)
    scores = {q: dict(hits) for q, hits in run.items() if hits and q in safe}
    parsed = [ir_measures.parse_measure(name) for name in OF_TREC_EVAL]
    expected = {name: dict.fromkeys(safe, 0.0) for name in OF_TREC_EVAL}
    theirs = ir_measures.pytrec_eval.iter_calc(parsed, safe, scores) if safe and scores else ()
    for metric in theirs:
        expected[str(metric.measure)][metric.query_id] = metric.value
    assert values == {name: pytest.approx(of, abs=1e-12) for name, of in expected.items()}


def test_a_query_with_negative_grades_only_counts_0_and_crashes_nothing():
    run = {"q1": [("d1", 1.0)], "q2": [("d2", 1.0)]}
    qrels = {"q1": {"d1": -2}, "q2": {"d2": 1}}
    values = evaluate(run, qrels, [*MEASURES, "Compat"])
    assert values["nDCG@10"] == {"q1": 0.0, "q2": 1.0}
    assert mean(values["nDCG@10"]) == 0.5
    # To Judged, any grade is a judgment.
    assert values.pop("Judged@2")["q1"] == values.pop("Judged@10")["q1"] == 1.0
    assert {of["q1"] for of in values.values()} == {0.0}
    (alone,) = evaluate_runs({"a": run}, {"q1": {"d1": -1}}).runs.values()
    assert set(alone.quality.values()) == {0.0}


def test_equal_scores_have_one_order_for_all_measures():
    run, names = {"q1": [("d1", 1), ("d2", 1), ("d3", 1)]}, ["P@1", "RR", "RR@10", "nDCG@10"]
    names += ["AP", "Success@1", "Judged@1", "Rprec", "R@1"]
    values = evaluate(run, {"q1": {"d3": 1}}, names)
    assert {name: of["q1"] for name, of in values.items()} == dict.fromkeys(names, 1.0)
    values = evaluate(run, {"q1": {"d1": 1}}, names[:4])
    assert [of["q1"] for of in values.values()] == [0.0, 1 / 3, pytest.approx(1 / 3), 0.5]


def test_scores_are_ordered_as_numbers_of_single_precision_and_ids_as_text():
    hits = [("10", 1.0), ("9", 1.0 - 1e-9), ("é", 1.0), ("z", 1.0), ("b", 1.0 + 1e-6)]
    assert [doc_id for doc_id, _ in trec_order(hits)] == ["b", "é", "z", "9", "10"]
    assert [score for _, score in trec_order(hits)][1:] == [1.0] * 4
    # Beyond the range of a C float, all scores are equal.
    huge = [("a", 1e300), ("b", 1e200), ("c", -1e300), ("d", 0.0)]
    assert [doc_id for doc_id, _ in trec_order(huge)] == ["b", "a", "d", "c"]
    assert all(math.isfinite(score) for _, score in trec_order(huge))


@pytest.mark.parametrize("key", ["no query", "a\0b", "\ud800", "", " "])
def test_any_text_may_be_an_id(key):
    run = {key: [(key, 1.0), (f"{key}\0", 0.5)]}
    values = evaluate(run, {key: {key: 1, f"{key}\0": 1}}, ["nDCG@10", "RR", "RR@10", "R@1"])
    assert [of[key] for of in values.values()] == [1.0, 1.0, 1.0, 0.5]


@pytest.mark.parametrize(
    "name",
    [
        *("RR(rel=0)@10", "RR(rel=-1)@10", "RR(rel=1.5)@10", "R(rel=True)@10"),
        "Bpref(rel=100000000)",  # reads that far into memory
        *("nDCG(gains={1:-3})@10", "nDCG(gains={0:1})@10", "nDCG(gains={1:0.5})@10"),
        *("nDCG(gains={1:10000000})@10", "nDCG(gains=[1])@10"),
    ],
)
def test_a_measure_by_which_low_grades_count_or_trec_eval_crashes_is_refused(name):
    refused(UnknownNameError, "cannot be computed: ", evaluate, {}, {}, [name])


def test_gains_concern_their_own_measure_only():
    run = {"q": [("a", 2.0), ("b", 1.0)]}
    qrels = {"q": {"a": 1, "b": 2, "c": -1}}
    second = 1 / math.log2(3)
    values = evaluate(run, qrels, ["nDCG@2", "nDCG(gains={2:1,1:3})@2", "nDCG(gains={1:0})@2"])
    expected = [(1 + 2 * second) / (2 + second), 1.0, second]
    assert [of["q"] for of in values.values()] == pytest.approx(expected)
