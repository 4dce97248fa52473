"""Weights of words: each paper's formula, worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retriever.embedders.static import weighting as weights


def test_idf_by_hand():
    # Of three texts, the first word is in all of them, the second in one, the third in none.
    found = weights.idf(np.array([3, 1, 0]), 3)
    np.testing.assert_allclose(found, [np.log(4 / 3), np.log(4), np.log(4)])
    assert weights.idf(np.array([0]), 0).tolist() == [np.log(2)]


def test_sif_by_hand():
    np.testing.assert_allclose(weights.sif(np.array([0.001, 0.009, 0.0])), [0.5, 0.1, 1.0])
    np.testing.assert_allclose(weights.sif(np.array([0.3]), a=0.1), [0.25])


def test_usif_by_hand():
    # V = 4 and n = 2: a walk visits a word with probability 1 - (3/4)^2 = 7/16. Only the first is
    # likelier: alpha = 1/4, Z = 2, a = (3/4) / (1/4 * 2) = 3/2.
    p = np.array([0.7, 0.1, 0.1, 0.1])
    a = weights.usif_a(p, 2.0)
    assert a == 1.5
    np.testing.assert_allclose(weights.usif(p, a), 1.5 / (0.75 + p))
    assert weights.usif(np.array([0.0, 1.0]), np.inf).tolist() == [2.0, 2.0]


@pytest.mark.parametrize(
    ("probabilities", "length", "a"),
    [
        ([0.5, 0.5], 2.0, 1.0),  # none likelier than 3/4: one is counted so
        ([0.5, 0.5], 0.5, 1.0),  # both likelier than 0.29: one is counted as not
        ([1.0], 3.0, np.inf),
        ([], 3.0, np.inf),
    ],
)
def test_usif_where_the_papers_a_would_be_infinite_or_zero(probabilities, length, a):
    found = weights.usif_a(np.array(probabilities), length)
    assert found == a
    assert np.isfinite(weights.usif(np.array([0.0, 0.5, 1.0]), found)).all()


def test_zipf_by_hand():
    inverse = np.array([1 / 3.7, 1 / 4.7, 1 / 5.7])
    np.testing.assert_allclose(weights.zipf(3), inverse / inverse.sum())
    assert weights.zipf(400_000).sum() == pytest.approx(1)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=20), st.floats(0.5, 500))
def test_rarer_words_never_weigh_less(counts, length):
    counts = np.sort(counts)
    p = counts / max(counts.sum(), 1)
    a = weights.usif_a(p, length)
    for found in (weights.idf(counts, 1000), weights.sif(p), weights.usif(p, a)):
        assert (np.diff(found) <= 0).all()
        assert (found > 0).all()
        assert np.isfinite(found).all()
