"""Differences between systems against answers worked out by hand, scipy and simulations."""

import math
from dataclasses import astuple, replace
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from indexes.errors import InputError
from retriever.evaluation.significance import (
    FLIPS,
    RESAMPLES,
    all_pairs,
    differences,
    fewest_queries,
    holm,
)
from tests.support.toy import exactly, refused

# Multiples of 1/64 add up without rounding; so few of them give many ties.
VALUES = st.integers(0, 64).map(lambda number: number / 64)
PAIRS = st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=24)


def by_query(values):
    return {f"q{place}": float(value) for place, value in enumerate(np.asarray(values))}


def compare(row, **options):
    """One system that differs from a baseline of zeros by `row`."""
    values = by_query(row)
    return differences(dict.fromkeys(values, 0.0), {"s": values}, **options)["s"]


def skewed(queries, seed=1):
    """Differences as measures have them: many ties, some large ones, not symmetric."""
    draw = np.random.default_rng(seed)
    return np.where(draw.random(queries) < 0.4, 0.0, draw.beta(2, 3, queries) - 0.3)


@pytest.mark.parametrize(
    ("row", "p"),
    [
        ([1, 2, 3], 2 / 8),  # only 1 + 2 + 3 and its opposite are as far as 6
        ([3, 1, -1], 6 / 8),  # 5, 3, 3, 1 and their opposites; 3 or more counts
        ([0.3, 0.1, -0.1], 6 / 8),  # the same, where 0.3 + 0.1 - 0.1 is not 0.3 - 0.1 + 0.1
        ([1, -1, 1], 1.0),  # nothing is nearer than 1
        ([1, -1], 1.0),
        ([0.1] * 6, 2 / 64),
        ([0.1] * 5 + [-0.1], 14 / 64),  # two that lose no query, twelve that lose one
    ],
)
def test_p_is_the_share_of_sign_flips_that_are_as_extreme(row, p):
    assert compare(row).p == p


def test_p_of_sampled_flips_of_equal_sizes_is_that_of_the_sign_test_and_never_0():
    # Equal sums of 0.1 may differ by rounding; they must count as equal, as each is common.
    row = [0.1] * 15 + [-0.1] * 5
    exact = stats.binomtest(15, 20).pvalue
    error = math.sqrt(exact * (1 - exact) / FLIPS)
    assert exact == pytest.approx(0.041, abs=0.001)
    assert compare(row).p == pytest.approx(exact, abs=4 * error)
    assert compare([1.0] * 16).p == 2 / 2**16
    assert compare([1.0] * 100).p == 1 / (1 + FLIPS)


def test_the_interval_of_few_values():
    # One of four counts 4: the sum of a resample is 4 times Binomial(4, 1/4). Three or more have
    # a probability of 0.051, all four of 0.004, none of 0.316.
    found = compare([0, 0, 0, 4])
    assert (found.mean, found.low, found.high) == (1.0, 0.0, 3.0)


def test_wins_ties_and_losses_and_the_sign_of_the_mean():
    found = compare([0.5, 2e-9, 1e-10, 0.0, -1e-10, -0.5])
    assert (found.wins, found.ties, found.losses, found.queries) == (2, 3, 1, 6)
    baseline, system = by_query([0.25, 0.5, 0.5]), by_query([0.75, 0.5, 1.0])
    found = differences(baseline, {"s": system})["s"]
    assert (found.mean, found.wins, found.losses) == (1 / 3, 2, 0)


def test_queries_needed():
    # Mean 0.1, standard deviation sqrt(0.08): (1.95996 + 0.84162)^2 * 8 = 62.8.
    assert compare([-0.1, 0.3]).queries_needed == 63
    assert compare([0.1, -0.3]).queries_needed == 63
    # The formula says 0 and 4, but the smallest p of 5 queries is 0.0625.
    assert compare([0.5, 0.5]).queries_needed == 6
    assert compare([0.1, 0.3]).queries_needed == 6
    assert compare([0.5, -0.5]).queries_needed is None
    assert compare([0.1, 0.2, -0.3]).queries_needed is None  # a mean of 1e-17


def test_no_query_one_query_and_no_system():
    assert astuple(compare([])) == (0.0, 0.0, 0.0, 1.0, 1.0, 0, 0, 0, 0, None)
    assert astuple(compare([0.7])) == (0.7, 0.7, 0.7, 1.0, 1.0, 1, 0, 0, 1, None)
    assert differences({"q": 1.0}, {}) == {}


def test_holm_by_hand():
    # Sorted: 0.01 * 4, 0.02 * 3, 0.03 * 2 and 0.04 * 1, which may not be less than the one before.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06], abs=1e-15)
    # Holm's own point: the second is compared with alpha / 2, not with alpha / 3.
    assert holm([0.01, 0.02, 0.5]) == pytest.approx([0.03, 0.04, 0.5], abs=1e-15)
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    assert holm([0.03]) == [0.03]
    assert holm([]) == []
    # Significant is less than 5 in 100 after the correction.
    found = compare([0.0])
    assert replace(found, p=0.9, p_holm=0.0499).significant
    assert not replace(found, p=0.001, p_holm=0.05).significant


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_lies_between_no_correction_and_bonferronis(p_values):
    corrected = holm(p_values)
    for p, holms in zip(p_values, corrected, strict=True):
        assert p <= holms <= min(1.0, p * len(p_values))
    by_p = sorted(zip(p_values, corrected, strict=True))
    assert [holms for _, holms in by_p] == sorted(corrected)


def test_all_systems_of_a_baseline_are_one_family():
    baseline = by_query([0.0] * 8)
    rows = {"a": [1.0] * 8, "b": [1.0] * 7 + [-1.0], "c": [0.0] * 8}
    found = differences(baseline, {name: by_query(row) for name, row in rows.items()})
    assert list(found) == ["a", "b", "c"]
    assert [one.p for one in found.values()] == [2 / 256, 18 / 256, 1.0]
    assert [one.p_holm for one in found.values()] == [6 / 256, 36 / 256, 1.0]
    assert [one.significant for one in found.values()] == [True, False, False]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-1, 1).map(lambda value: round(value, 3)), min_size=2, max_size=10))
def test_p_equals_scipys_where_both_count_all_flips(row):
    # Whole thousandths: scipy's tolerance for equal sums is narrower than ours.
    thousandths = np.round(np.array(row) * 1000)
    theirs = stats.permutation_test(
        (thousandths,), np.sum, permutation_type="samples", n_resamples=np.inf, vectorized=True
    )
    assert compare(row).p == theirs.pvalue


@pytest.mark.parametrize("queries", [17, 60, 300])
def test_p_agrees_with_scipys_drawn_flips(queries):
    row = skewed(queries)
    row -= 0.6 * row.mean()
    theirs = stats.permutation_test(
        (row,), np.mean, permutation_type="samples", n_resamples=20_000, vectorized=True, rng=5
    ).pvalue
    # Their p is twice a share of 20,000; four standard errors of it hold ours as well.
    error = 2 * math.sqrt(theirs / 2 * (1 - theirs / 2) / 20_000)
    assert 0.01 < theirs < 0.9
    assert compare(row).p == pytest.approx(theirs, abs=4 * error)


@pytest.mark.parametrize("queries", [10, 60, 300])
def test_the_interval_agrees_with_scipys(queries):
    row = skewed(queries)
    theirs = stats.bootstrap(
        (row, np.zeros(queries)),
        lambda a, b, axis: np.mean(a - b, axis=axis),
        paired=True,
        method="percentile",
        n_resamples=RESAMPLES,
        rng=5,
    ).confidence_interval
    # The 2.5 % quantile of 10,000 normal values has a standard error of
    # sqrt(0.025 * 0.975 / 10,000) / 0.058 = 0.027 of theirs; twice drawn 0.038; four times that.
    error = 0.15 * row.std() / math.sqrt(queries)
    found = compare(row)
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=error)
    assert found.low < found.mean < found.high


@settings(max_examples=30, deadline=None)
@given(PAIRS)
def test_swapping_system_and_baseline_changes_the_signs_alone(pairs):
    a, b = (by_query(column) for column in zip(*pairs, strict=True))
    there, back = differences(a, {"s": b})["s"], differences(b, {"s": a})["s"]
    signs = {"mean": -back.mean, "low": -back.high, "high": -back.low}
    assert there == replace(back, **signs, wins=back.losses, losses=back.wins)
    assert there.low <= there.high
    assert there.wins + there.ties + there.losses == there.queries == len(pairs)


@settings(max_examples=20, deadline=None)
@given(PAIRS, VALUES)
def test_a_constant_on_both_sides_changes_nothing(pairs, constant):
    a, b = (np.array(column) for column in zip(*pairs, strict=True))
    shifted = differences(by_query(a + constant), {"s": by_query(b + constant)})
    assert shifted == differences(by_query(a), {"s": by_query(b)})


@settings(max_examples=20, deadline=None)
@given(PAIRS, VALUES)
def test_a_constant_for_the_system_moves_mean_and_interval(pairs, constant):
    row = np.array([b - a for a, b in pairs])
    before, after = compare(row), compare(row + constant)
    moved = (before.mean + constant, before.low + constant, before.high + constant)
    assert (after.mean, after.low, after.high) == pytest.approx(moved, abs=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=24))
def test_identical_systems_have_a_difference_of_0(values):
    found = differences(by_query(values), {"s": by_query(values)})["s"]
    queries = len(values)
    assert astuple(found) == (0.0, 0.0, 0.0, 1.0, 1.0, 0, queries, 0, queries, None)


@pytest.mark.parametrize("queries", [12, 40, 3000])
def test_neither_the_order_of_queries_nor_other_systems_matter(queries):
    baseline = by_query(np.random.default_rng(3).random(queries))
    rows = {name: by_query(skewed(queries, seed)) for seed, name in enumerate("abcde")}
    together = differences(baseline, rows)
    backwards = {
        name: dict(reversed(values.items())) for name, values in reversed(list(rows.items()))
    }
    assert differences(dict(reversed(baseline.items())), backwards) == together
    for name, values in rows.items():
        alone = differences(baseline, {name: values})[name]
        corrected = {"p_holm": alone.p_holm, "queries_needed": alone.queries_needed}
        assert replace(together[name], **corrected) == alone


def test_results_depend_on_the_seed_alone():
    row = skewed(100) - 0.03
    assert compare(row) == compare(row)
    assert compare(row, seed=7) == compare(row, seed=7)
    assert compare(row, seed=7).low != compare(row).low
    assert compare(row, seed=7).p != compare(row).p


def simulate(mean, sd, queries):
    """Differences of 300 pairs of systems, drawn from one normal distribution."""
    rows = np.random.default_rng(11).normal(mean, sd, size=(300, queries))
    systems = {str(number): by_query(row) for number, row in enumerate(rows)}
    return list(differences(dict.fromkeys(systems["0"], 0.0), systems).values())


def test_the_interval_covers_the_true_mean_and_p_its_error_rate():
    found = simulate(mean=0.0, sd=0.2, queries=60)
    covered = sum(one.low <= 0.0 <= one.high for one in found) / 300
    wrong = sum(one.p < 0.05 for one in found) / 300
    # Three standard errors of 300 draws: 3 * sqrt(0.05 * 0.95 / 300) = 0.038.
    assert covered == pytest.approx(0.95, abs=0.038)
    assert wrong == pytest.approx(0.05, abs=0.038)


def test_of_several_differences_more_queries_are_needed():
    """The smallest p of three is multiplied by three, the next two, which are equal, by two."""
    rows = {"a": [0.1, 0.3], "b": [0.1, -0.3], "c": [-0.1, 0.3]}
    rows = {name: by_query(10 * row) for name, row in rows.items()}
    found = differences(dict.fromkeys(rows["a"], 0.0), rows)
    assert [one.p_holm / one.p for one in found.values()] == pytest.approx([3, 2, 2])
    z = {m: NormalDist().inv_cdf(1 - 0.025 / m) + NormalDist().inv_cdf(0.8) for m in (2, 3)}
    # Means of 0.2 and 0.1, standard deviations of 0.1 and 0.2 sqrt(20 / 19).
    spread = math.sqrt(20 / 19)
    assert found["a"].queries_needed == max(7, math.ceil((z[3] * 0.1 * spread / 0.2) ** 2))
    needed = math.ceil((z[2] * 0.2 * spread / 0.1) ** 2)
    assert found["b"].queries_needed == found["c"].queries_needed == needed


@pytest.mark.parametrize(("comparisons", "fewest"), [(1, 6), (2, 7), (8, 9), (36, 11)])
def test_fewer_queries_cannot_show_any_difference(comparisons, fewest):
    assert fewest_queries(comparisons) == fewest
    for queries, shown in ((fewest - 1, False), (fewest, True)):
        rows = {str(n): by_query([1.0] * queries) for n in range(comparisons)}
        found = differences(dict.fromkeys(rows["0"], 0.0), rows)
        assert any(one.significant for one in found.values()) == shown


def test_with_the_queries_needed_four_of_five_differences_are_found():
    # 0.2 and -0.1 alternate: mean 0.05, standard deviation 0.15 * sqrt(100 / 99).
    pilot = compare([0.2, -0.1] * 50)
    assert pilot.mean == pytest.approx(0.05)
    assert pilot.queries_needed == 72  # (2.801585 * 0.150756 / 0.05)^2 = 71.4
    found = sum(one.p < 0.05 for one in simulate(0.05, 0.150756, 72)) / 300
    # Three standard errors: 3 * sqrt(0.8 * 0.2 / 300) = 0.069.
    assert found == pytest.approx(0.8, abs=0.069)
    # A quarter of them halves the distance in standard errors: power 0.29.
    found = sum(one.p < 0.05 for one in simulate(0.05, 0.150756, 18)) / 300
    assert found == pytest.approx(0.29, abs=0.079)


def test_a_query_that_one_side_lacks_is_named():
    message = "System 'x' has no value for query 'b'; expected the queries of the baseline."
    values = {"a": 1.0, "b": 1.0, "c": 1.0}
    refused(InputError, exactly(message), differences, values, {"x": {"a": 1.0}})
    message = "The baseline has no value for query 'b'; expected the queries of system 'x'."
    systems = {"w": {"a": 1.0}, "x": {"a": 1.0, "b": 0.0}}
    refused(InputError, exactly(message), differences, {"a": 1.0}, systems)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_not_finite_and_a_negative_seed_are_refused(value):
    zeros, values = {"a": 0.0, "b": 0.0}, {"a": 0.0, "b": value}
    message = "The baseline has the value .* for query 'b'; expected a"
    refused(InputError, message, differences, values, {"s": zeros})
    message = "System 's' has the value .* for query 'b'; expected a"
    refused(InputError, message, differences, zeros, {"s": values})
    refused(InputError, "The seed is -1; expected 0 or more", compare, [1.0], seed=-1)


PAIRED = {
    "a": {f"q{n}": n / 10 for n in range(8)},
    "b": {f"q{n}": n / 10 + 0.1 for n in range(8)},
    "c": {f"q{n}": (n % 3) / 2 for n in range(8)},
}


def test_pairs_are_the_differences_of_each_two_corrected_over_all():
    found = all_pairs(PAIRED)
    assert list(found) == [("a", "b"), ("a", "c"), ("b", "c")]
    corrected = holm([one.p for one in found.values()])
    assert [one.p_holm for one in found.values()] == corrected
    for (first, second), one in found.items():
        (alone,) = differences(PAIRED[second], {first: PAIRED[first]}).values()
        corrected = {"p_holm": alone.p_holm, "queries_needed": alone.queries_needed}
        assert replace(one, **corrected) == alone
    # b is better on all of 8 queries: two of 2^8 patterns are as far, times three pairs.
    assert found["a", "b"].p_holm == pytest.approx(3 * 2 / 2**8)


def test_pairs_need_two_systems_with_the_same_queries():
    with pytest.raises(InputError, match="two systems"):
        all_pairs({"a": PAIRED["a"]})
    with pytest.raises(InputError, match="has no value for query"):
        all_pairs({"a": PAIRED["a"], "b": {"q1": 1.0}})
    with pytest.raises(InputError, match="seed is -1"):
        all_pairs(PAIRED, seed=-1)
