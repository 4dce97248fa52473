"""Rank-biased overlap against values worked out by hand and by another implementation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes.errors import InputError
from retriever.evaluation.rank_biased_overlap import disagreement, mean_rbo, rank_biased_overlap
from tests.support.toy import refused

LISTS = st.lists(st.sampled_from("abcdefghij"), unique=True)
P = st.floats(0.01, 0.99)


def ranked(doc_ids):
    return [(doc_id, -float(rank)) for rank, doc_id in enumerate(doc_ids)]


def equation_32(a, b, p):
    """Webber, Moffat and Zobel 2010, as printed."""
    short, long = sorted((a, b), key=len)
    s, l = len(short), len(long)  # noqa: E741
    x = {d: len(set(short[:d]) & set(long[:d])) for d in range(1, l + 1)}
    seen = sum(x[d] / d * p**d for d in range(1, l + 1))
    unseen = sum(x[s] * (d - s) / (s * d) * p**d for d in range(s + 1, l + 1))
    return (1 - p) / p * (seen + unseen) + ((x[l] - x[s]) / l + x[s] / s) * p**l


# By hand, with p = 1/2, where the weights of the depths are 1/2, 1/4, 1/8, ... and the rest
@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        # In common 0 of 1, 2 of 2, and all of the rest: 0/2 + 1/4 + 1/4.
        ("ab", "ba", 1 / 2),
        # 1 of 1, 1 of 2, and 1/2 of the rest: 1/2 + 1/8 + 1/8.
        ("ab", "ac", 3 / 4),
        ("ab", "cb", 1 / 4),
        # The shorter ends with none in common; 0 of 1, 1 of 2, and 1/2 of the rest: 1/8 + 1/8.
        ("a", "ba", 1 / 4),
        # The shorter ends with 1 of 2 in common, so its third counts half: 1, 1/2, 1.5/3, rest 1/2.
        ("ab", "acd", 1 / 2 + 1 / 8 + 1 / 16 + 1 / 16),
        # 1, 1/2, and at depth 3 both of the shorter and half of its third: 2.5/3, which goes on.
        ("ab", "acb", 1 / 2 + 1 / 8 + 5 / 6 / 8 + 5 / 6 / 8),
        ("a", "abc", 1.0),
    ],
)
def test_overlap_by_hand(a, b, expected):
    assert rank_biased_overlap(a, b, p=0.5) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize(
    ("a", "b", "p", "expected"),
    # RankingSimilarity(a, b).rbo_ext(p) of the package rbo 0.1.3.
    [
        ("abcde", "bacdf", 0.9, 0.76878),
        ("abcdefghij", "jihgfedcba", 0.95, 0.7198213852346228),
        ("abc", "cbadefg", 0.9, 0.855),
        ("abcdefg", "gxa", 0.8, 0.2507824761904762),
        ("ab", "xyabz", 0.5, 0.09791666666666665),
        ("a", "bcda", 0.9, 0.18225),
        ("abx", "acbde", 0.7, 0.7316666666666666),
    ],
)
def test_overlap_equals_that_of_another_implementation(a, b, p, expected):
    assert rank_biased_overlap(a, b, p=p) == pytest.approx(expected, abs=1e-14)


def test_overlap_of_empty_lists_and_with_the_default_p():
    assert rank_biased_overlap("abc", "cbadefg") == pytest.approx(0.855, abs=1e-14)
    assert rank_biased_overlap([], []) == 1.0
    assert rank_biased_overlap([], ["a"]) == 0.0
    assert rank_biased_overlap(["a"], []) == 0.0


@given(LISTS.filter(bool), LISTS.filter(bool), P)
def test_overlap_is_equation_32(a, b, p):
    expected = equation_32("".join(a), "".join(b), p)
    assert rank_biased_overlap(a, b, p=p) == pytest.approx(expected, abs=1e-12)


@given(LISTS, LISTS, P)
def test_overlap_is_symmetric_between_0_and_1_and_0_with_nothing_in_common(a, b, p):
    found = rank_biased_overlap(a, b, p=p)
    assert found == rank_biased_overlap(b, a, p=p)
    assert 0 <= found <= 1
    if a and b:
        assert rank_biased_overlap(a, [letter.upper() for letter in b], p=p) == 0.0


@given(LISTS.filter(bool), st.integers(1, 10), P)
def test_a_list_and_its_beginning_have_an_overlap_of_1(a, length, p):
    assert rank_biased_overlap(a, a, p=p) == 1.0
    assert rank_biased_overlap(a, a[:length], p=p) == 1.0


def test_the_mean_over_queries():
    a = {"1": ranked("ab"), "2": ranked("ab"), "3": ranked("a"), "4": []}
    b = {"2": ranked("ba"), "1": ranked("ab"), "5": ranked("a"), "4": []}
    # 1 for query 1, 1/2 for 2, 0 for 3 and 5, which one side answered; 4 is left out.
    assert mean_rbo(a, b, p=0.5) == pytest.approx((1 + 1 / 2) / 4, abs=1e-15)
    assert mean_rbo(b, a, p=0.5) == mean_rbo(a, b, p=0.5)
    assert mean_rbo(a, a) == 1.0
    assert mean_rbo({}, {}) == 0.0
    assert mean_rbo({"1": []}, {"2": []}) == 0.0
    # Hits count in the order given.
    assert mean_rbo({"1": [("a", 0.1), ("b", 0.9)]}, {"1": ranked("ab")}) == 1.0


def test_the_most_disputed_query_comes_first_by_the_top_k_then_as_given():
    runs = {
        "x": {"same": ranked("abc"), "other": ranked("ab"), "some": ranked("ab"), "none": []},
        "y": {"same": ranked("abc"), "other": ranked("cd"), "some": ranked("ab")},
        "z": {"same": ranked("abc"), "other": ranked("ef"), "some": ranked("cd")},
    }
    assert disagreement(runs, 3) == [
        ("other", 1.0),
        ("some", pytest.approx(1 - (1 + 0 + 0) / 3)),
        ("same", 0.0),
    ]
    runs = {"x": {"1": ranked("ab"), "2": ranked("ab")}, "y": {"1": ranked("ac")}}
    # 1 less 0.1 * 1 + 0.9 * 1/2; whoever does not answer agrees with no one who does.
    assert disagreement(runs, 2) == [("2", 1.0), ("1", pytest.approx(0.45))]
    assert disagreement(runs, 1) == [("2", 1.0), ("1", 0.0)]
    x = {"b": ranked("abc"), "d": ranked("x"), "a": ranked("fghij")}
    y = {"c": ranked("x"), "a": ranked("fghij"), "b": ranked("ab")}
    assert disagreement({"x": x, "y": y}, 9) == [("d", 1.0), ("c", 1.0), ("b", 0.0), ("a", 0.0)]


@pytest.mark.parametrize("p", [0, 1, -0.5, 1.5, float("nan")])
def test_p_lies_between_0_and_1_and_a_document_occurs_once(p):
    message = "p is .*; expected a number between 0 and 1"
    refused(InputError, message, rank_biased_overlap, "ab", "ba", p=p)
    message = "Document 'a' occurs twice in a ranking; expected once"
    refused(InputError, message, rank_biased_overlap, "ab", "aba")


def test_disagreement_needs_two_systems_and_a_depth():
    message = "Systems to compare: 1; expected at least 2"
    refused(InputError, message, disagreement, {"x": {"1": ranked("a")}}, 10)
    refused(InputError, "k is 0; expected at least 1", disagreement, {"x": {}, "y": {}}, 0)
    assert disagreement({"x": {}, "y": {}}, 10) == []
