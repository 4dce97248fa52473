"""Runs and judgments in every form whose meaning is clear; all others are refused in a sentence."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.errors import InputError
from retriever import Hit, Run, read_qrels
from retriever.evaluation.evaluate_runs import evaluate_runs
from retriever.evaluation.inputs import qrels_of, run_of
from retriever.evaluation.measures import evaluate
from retriever.search.results import Hits
from tests.support.laws import examples
from tests.support.toy import exactly, refused

PAIRS = {"1": [("20", 2.0), ("30", 1.0)]}


@pytest.mark.parametrize(
    "run",
    [
        PAIRS,
        {"1": (["20", 2], ["30", 1])},
        {"1": {"20": 2.0, "30": 1.0}},
        {1: {20: 2, 30: True}},
        {np.int64(1): {np.int32(20): np.float32(2), np.str_("30"): np.float64(1)}},
        {"1": ["20", "30"]},
        {"1": ("20", "30")},
        {1: [20, 30]},
        {1: np.array([20, 30])},
        {"1": np.array(["20", "30"])},
        {"1": {"20": Decimal(2), "30": "1"}},
        {"1": Hits((Hit(1, "20", 2.0, "text"), Hit(2, "30", 1.0, "text")))},
        Run.of("run", PAIRS),
        Run.of("run", {1: {20: 2.0, 30: 1.0}}),
    ],
)
def test_a_run_may_be_given_in_any_form_with_one_meaning(run):
    assert run_of(run) == PAIRS
    assert evaluate(run, {1: {30: 1}}, ["RR", "RR@10"]) == {"RR": {"1": 0.5}, "RR@10": {"1": 0.5}}
    assert evaluate_runs({"a": run}, {"1": {"30": 1}}, ["RR"]).runs["a"]["RR"] == 0.5


def test_two_ids_of_two_characters_are_no_pair():
    assert run_of({"q": ["d1", "d2"]}) == {"q": [("d1", 2.0), ("d2", 1.0)]}
    assert qrels_of({"q": ["d1", "d2"]}) == {"q": {"d1": 1, "d2": 1}}
    assert run_of({"q": [], "r": {}, "s": ()}) == {"q": [], "r": [], "s": []}


@pytest.mark.parametrize(
    "judged",
    [
        {"a": 2, "b": -1},
        {"a": 2.0, "b": -1.0},
        {"a": np.int8(2), "b": np.float32(-1)},
        {"a": "2", "b": "-1.0"},
        {"a": Decimal("2.0"), "b": -1},
        [("a", 2), ("b", -1), ("a", 2.0)],
    ],
)
def test_a_grade_may_be_any_whole_number(judged):
    assert qrels_of({"q": judged}) == {"q": {"a": 2, "b": -1}}
    assert all(type(grade) is int for grade in qrels_of({"q": judged})["q"].values())


@pytest.mark.parametrize("judged", [{"7", "8"}, ["7", "8"], {7, 8}, (7, 8, 7), frozenset("78")])
def test_ids_without_grades_are_relevant(judged):
    assert qrels_of({1: judged}) == {"1": {"7": 1, "8": 1}}


ID = "A document id of query 'q' is"
GRADE = "The grade of 'd' for query 'q' is"


@pytest.mark.parametrize(
    ("qrels", "message"),
    [
        *(({"q": {"d": grade}}, f"{GRADE} {grade!r}; expected a whole number.") for grade in
          (0.5, 1e-9, 2.5, float("nan"), float("inf"), None, "high", "0.5", "", "1_0", [1], b"1")),
        ({"q": {"d": 2_000_000}}, f"{GRADE} 2000000; expected at most 1,000,000."),
        ({"q": [("d", 1), ("d", 2)]}, f"{GRADE} both 1 and 2; expected one."),
        ({"q": {1.5: 1}}, f"{ID} 1.5 (float); expected text or a whole number."),
        ({"q": 3}, "The judgments of query 'q' are 3; expected (doc_id, grade) pairs, a mapping of "
                   "doc_id to grade, or a list of doc_ids."),
        ([("q", "d", 1)], "Expected the qrels as a mapping with query ids as keys; got list."),
        ({None: {"d": 1}}, "A query id is None (NoneType); expected text or a whole number."),
        ({1: {}, "1": {}}, "In the qrels, '1' is a query id twice: as a number and as text."),
    ],
)  # fmt: skip
def test_judgments_without_a_clear_meaning_are_refused(qrels, message):
    refused(InputError, exactly(message), evaluate, {"q": []}, qrels, ["nDCG@10"])
    refused(InputError, exactly(message), evaluate_runs, {"a": {}}, qrels)


HITS = "The hits of query 'q' are"
FORMS = "expected (doc_id, score) pairs, a mapping of doc_id to score, or a list of doc_ids"


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ({"q": {"d"}}, f"{HITS} a set, which has no order; {FORMS}, best first."),
        *(({"q": hits}, f"{HITS} {hits!r}; {FORMS}.") for hits in
          (None, 7, "d1", b"d1", [("d", 1.0), "e"], [("d", 1.0, 2)], [0.5], [None])),
        ({"q": [True]}, f"{ID} True (bool); expected text or a whole number."),
        ({"q": [(0.5, "d")]}, f"{ID} 0.5 (float); expected text or a whole number."),
        *(({"q": {"d": score}}, f"The score of 'd' for query 'q' is {score!r}; expected a finite "
                                "number.") for score in (None, "high", float("nan"), 1j, [1])),
        ({"q": {"d": float("-inf")}}, "The score of 'd' for query 'q' is -inf; expected a finite "
                                      "number."),
        ({"q": {1: 2.0, "1": 1.0}}, "Query 'q' has the same document at two ranks."),
        ({"q": ["d", "d"]}, "Query 'q' has the same document at two ranks."),
        ([["d", 1.0]], "Expected the run as a mapping with query ids as keys; got list."),
        ({1: {}, "1": {}}, "In the run, '1' is a query id twice: as a number and as text."),
        ({b"q": {}}, "A query id is b'q' (bytes); expected text or a whole number."),
    ],
)  # fmt: skip
def test_runs_without_a_clear_meaning_are_refused(run, message):
    refused(InputError, exactly(message), evaluate, run, {"q": {"d": 1}}, ["nDCG@10"])
    refused(InputError, exactly(message), evaluate_runs, {"a": run}, {"q": {"d": 1}})


def test_runs_need_names():
    message = exactly("Expected the runs as a mapping with names as keys; got list.")
    refused(InputError, message, evaluate_runs, [{"q": ["d"]}], {"q": {"d": 1}})


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=2),
    lambda some: (
        st.lists(some, max_size=3)
        | st.tuples(some, some)
        | st.dictionaries(st.text(max_size=2) | st.integers(0, 3), some, max_size=3)
        | st.frozensets(st.text(max_size=2), max_size=3)
    ),
    max_leaves=8,
)


def refusal(call, *arguments):
    """Return what a call returns, or the message with which it refuses its arguments."""
    try:
        return call(*arguments), None
    except InputError as error:
        return None, str(error)


@given(run=ANYTHING, qrels=ANYTHING)
@settings(max_examples=examples(120), deadline=None)
def test_whatever_is_given_is_evaluated_or_refused(run, qrels):
    for given_run, given_qrels in (({}, qrels), (run, {"q": {"d": 1}})):
        values, message = refusal(evaluate, given_run, given_qrels, ["RR@10"])
        assert message is None or message.endswith(".")
        assert values is None or set(values["RR@10"].values()) <= {0.0, 1 / 3, 0.5, 1.0}


@given(st.integers(-36, 36).map(lambda quarters: quarters / 4))
@settings(max_examples=examples(60), deadline=None)
def test_a_grade_in_a_file_has_the_rule_of_one_in_python(tmp_path_factory, grade):
    path = tmp_path_factory.mktemp("grades") / "test.qrels"
    path.write_text(f"q 0 z 1\nq 0 d {grade}\n")
    in_file, message = refusal(read_qrels, path)
    in_python, _ = refusal(qrels_of, {"q": {"z": 1, "d": grade}})
    assert in_file == in_python == ({"q": {"z": 1, "d": grade}} if grade % 1 == 0 else None)
    assert (message is not None) == (in_file is None)
