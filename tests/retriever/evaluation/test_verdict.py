"""Verdicts on systems whose values are given: which is best, which is enough, and for how much."""

from dataclasses import replace

import pytest

from retriever.evaluation.results import Agreement, Query
from retriever.evaluation.verdict import (
    NO,
    NO_JUDGMENTS,
    ONE_KIND,
    TOO_FEW,
    UNDECIDED,
    YES,
    verdict_of,
)
from retriever.report.exports import json_lines
from retriever.report.headline import headline
from retriever.report.verdict import verdict_lines
from tests.support.samples import MEASURE, compared, cost, latency, row

IDS = [f"q{number}" for number in range(12)]
# By system: milliseconds a query, seconds to build.
COSTS = {"bm25": (1, 1), "glove": (0.5, 1), "minilm": (10, 100)}


def over(values, contextual=("minilm",), **rest):
    """A comparison of systems by the values of twelve queries, or one value for all of them."""
    per_query = {
        name: dict(zip(IDS, of if isinstance(of, list) else [of] * 12, strict=True))
        for name, of in values.items()
    }
    rows = []
    for name, of in per_query.items():
        ms, seconds = COSTS[name]
        mean = sum(of.values()) / 12
        costs = {"latency": latency(ms), "cost": cost(seconds), "contextual": name in contextual}
        rows.append(row(name, mean, **costs))
    queries = [Query(one, one, {"d": 1}) for one in IDS]
    made = compared(rows, per_query, {}, queries)
    found = verdict_of(made.rows, made.per_query, made.measures, documents=1000)
    return replace(made, verdict=found, **rest)


# Eleven queries alike, one better by minilm: that may be chance.
ALIKE = {"bm25": 0.5, "minilm": [1.0] + [0.5] * 11}
WORSE = {"bm25": 0.25, "minilm": 0.75}


def test_what_is_not_distinguishably_worse_is_enough():
    found = over(ALIKE).verdict
    assert (found.answer, found.best, found.enough) == (NO, "minilm", "bm25")
    assert found.difference.mean == pytest.approx(-1 / 24)
    assert not found.difference.significant


def test_contextual_embeddings_are_needed_where_all_others_are_significantly_worse():
    found = over({"glove": 0.1, **WORSE}).verdict
    assert (found.answer, found.best, found.enough, found.without) == (
        YES,
        "minilm",
        "minilm",
        "bm25",
    )
    assert found.difference is None
    assert (found.lost.mean, found.lost.significant) == (-0.5, True)


# Six queries better by minilm, six alike: p is 2 / 2^6, and twice that with another system.
HALF_WORSE = {"bm25": 0.5, "minilm": [1.0] * 6 + [0.5] * 6}


def test_what_is_worse_only_before_the_correction_is_undecided():
    made = over({"glove": [0.4] * 6 + [0.5] * 6, **HALF_WORSE})
    found = made.verdict
    assert (found.answer, found.best, found.enough) == (UNDECIDED, "minilm", "bm25")
    assert (found.difference.p, found.difference.p_holm) == (1 / 32, 1 / 16)
    answer, costs = verdict_lines(made)
    assert answer == (
        "Do you need contextual embeddings here? Undecided: bm25 (0.500) is worse in nDCG@10 than "
        "the best, minilm (0.750): −0.250, 95 % interval −0.375 to −0.125; but not distinguishably "
        "once p is corrected for all systems (0.031, corrected 0.062)."
    )
    assert costs.endswith("the same disk; about 13 queries needed to distinguish.")
    # The only one that is tested needs no correction.
    found = over(HALF_WORSE)
    assert found.verdict.answer == YES
    assert "More queries will hardly change this" in verdict_lines(found)[1]


def test_a_need_that_few_more_queries_could_refute_is_to_be_confirmed():
    # Eight of twelve queries better by minilm, two worse: p is .04.
    made = over({"bm25": 0.5, "minilm": [0.9] * 9 + [0.5] + [0.1, 0.2]})
    assert made.verdict.answer == YES
    assert made.verdict.lost.queries_needed > 12
    assert "other queries would be needed to confirm this;" in verdict_lines(made)[1]


def test_nothing_is_said_where_no_difference_could_be_significant_after_correction():
    ids = IDS[:6]
    made = over({"bm25": 0.25, "glove": 0.1, "minilm": 0.75})
    few = {
        name: {MEASURE: {one: of[MEASURE][one] for one in ids}}
        for name, of in made.per_query.items()
    }
    found = verdict_of(made.rows, few, made.measures, 3)
    # With two comparisons, the smallest p is 2 * 2 / 2^6.
    assert (found.answer, found.needed) == (TOO_FEW, 7)
    two = {name: few[name] for name in ("bm25", "minilm")}
    rows = {name: made.rows[name] for name in two}
    assert verdict_of(rows, two, made.measures, 3).answer == YES


def test_of_several_that_are_enough_the_cheapest_to_build_and_ask_is_named():
    made = over({"bm25": 0.5, "glove": [0.4] + [0.5] * 11, "minilm": [1.0] + [0.5] * 11})
    # 1,000 documents: 1 s to build and a query of 0.5 or 1 ms for each.
    assert [made.rows[name].work(1000) for name in ("bm25", "glove")] == [2.0, 1.5]
    assert made.verdict.enough == "glove"


def test_a_best_system_without_a_contextual_model_has_no_difference():
    found = over({"bm25": 0.75, "minilm": 0.25}).verdict
    assert (found.answer, found.best, found.enough, found.difference) == (NO, "bm25", "bm25", None)


@pytest.mark.parametrize("contextual", [(), ("bm25", "minilm")])
def test_without_both_kinds_there_is_no_answer(contextual):
    assert over(WORSE, contextual).verdict.answer == ONE_KIND


def test_the_lines_say_what_is_enough_what_the_best_costs_and_what_would_change_it():
    answer, costs = verdict_lines(over(ALIKE))
    assert answer == (
        "Do you need contextual embeddings here? No: bm25 (0.500) is not distinguishably worse in "
        "nDCG@10 than the best, minilm (0.542): −0.042, 95 % interval −0.125 to 0.000."
    )
    assert costs == (
        "minilm costs 10 times the time a query (10 against 1 ms), +99.0 s of building and "
        "the same disk; about 95 queries needed to distinguish."
    )


def test_the_lines_say_that_they_are_needed():
    answer, costs = verdict_lines(over(WORSE))
    assert answer == (
        "Do you need contextual embeddings here? Yes: the best system without, bm25 (0.250), is "
        "worse in nDCG@10 than the best, minilm (0.750): −0.500, 95 % interval −0.500 to −0.500."
    )
    assert costs.endswith(
        " More queries will hardly change this; a better system without a contextual model may "
        "change it."
    )


def test_the_lines_of_a_best_system_without_a_contextual_model_name_the_best_with_one():
    answer, costs = verdict_lines(over({"bm25": 0.75, "minilm": 0.25}))
    assert answer.endswith("No: bm25 (0.750), the best in nDCG@10, has no contextual model.")
    assert costs.startswith("The best with one, minilm (0.250), costs 10 times the time a query")


def test_how_far_to_trust_made_queries_is_the_last_line():
    assert verdict_lines(over(ALIKE, trust="Trust it."))[2:] == ("Trust it.",)


@pytest.mark.parametrize(("contextual", "lacks"), [((), "with"), (("bm25", "minilm"), "without")])
def test_the_line_says_which_kind_is_missing(contextual, lacks):
    (line,) = verdict_lines(over(WORSE, contextual))
    assert line.endswith(f"Cannot be said: no system {lacks} a contextual model was compared.")


def test_of_fewer_queries_than_can_show_a_difference_there_is_no_answer():
    made = over(WORSE)
    few = {
        name: {MEASURE: {one: of[MEASURE][one] for one in IDS[:5]}}
        for name, of in made.per_query.items()
    }
    found = verdict_of(made.rows, few, made.measures, 3)
    assert found.answer == TOO_FEW
    queries = {one: made.queries[one] for one in IDS[:5]}
    (line,) = verdict_lines(replace(made, verdict=found, queries=queries))
    assert line.endswith(
        "5 judged queries are too few; at least 6 can show a difference between 2 systems."
    )


def test_a_single_system_lacks_another_to_compare_with_however_few_queries_there_are():
    made = over(WORSE)
    (name, row), *_ = made.rows.items()
    values = {name: {MEASURE: {one: made.per_query[name][MEASURE][one] for one in IDS[:2]}}}
    found = verdict_of({name: row}, values, made.measures, 3)
    (line,) = verdict_lines(replace(made, verdict=found, rows={name: row}))
    assert line.endswith("Cannot be said: no system with a contextual model was compared.")


def test_without_judgments_the_line_says_how_to_get_an_answer():
    found = verdict_of({}, {}, (), 3)
    assert found.answer == NO_JUDGMENTS
    (line,) = verdict_lines(replace(over(WORSE), verdict=found))
    assert line.endswith("let queries be made from the corpus with --queries made:300.")


def test_the_verdict_is_on_top_of_every_report():
    made = replace(over(ALIKE), pairwise={("bm25", "minilm"): Agreement(0.5, 0.5)})
    lines = verdict_lines(made)
    assert " ".join(str(made).split()).startswith(" ".join(lines))
    assert made.to_markdown().replace("\\", "").startswith("\n\n".join(lines))
    assert f'"answer": "{NO}"' in json_lines(made)
    html = made._repr_html_()
    assert html.index(lines[0]) < html.index(headline(made).sentences[0])
