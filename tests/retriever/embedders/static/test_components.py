"""Common components: by hand, and against numpy's SVD and scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from retriever.embedders.static import components, pooling
from retriever.embedders.static.components import (
    HALF,
    common_components,
    conceptor,
    removal,
    top_components,
)


def without(vectors, words, texts, totals=None):
    vectors = np.asarray(vectors, np.float32)
    totals = np.ones(len(vectors)) if totals is None else np.asarray(totals, float)
    left, noise = pooling.without(vectors, totals, removal(words, texts))
    left[np.linalg.norm(left, axis=1) <= noise] = 0
    return left


def test_all_but_the_top_by_hand():
    # The mean is (2, 0), and they vary most along x.
    table = np.array([[0, 0], [4, 0], [2, 1], [2, -1]], np.float32)
    top = top_components(table, 1)
    np.testing.assert_allclose([top.mean, *top.directions], [[2, 0], [1, 0]], atol=1e-12)
    assert without(table, top, None).tolist() == [[0, 0], [0, 0], [0, 1], [0, -1]]


def test_the_common_component_is_not_centered_by_hand():
    texts = np.array([[3, 1], [3, -1]])
    common = common_components(texts, 1, weighted=False)
    np.testing.assert_allclose(common.directions, [[1, 0]], atol=1e-12)
    assert without(texts, None, common).tolist() == [[0, 1], [0, -1]]


def test_weighted_components_lose_only_their_share_by_hand():
    # The squared singular values are 16, 4 and 1; of the first two, 4/5 and 1/5.
    common = common_components(np.diag([4.0, 2.0, 1.0]), 2, weighted=True)
    np.testing.assert_allclose(common.shares, [0.8, 0.2])
    np.testing.assert_allclose(without([[5, 5, 5]], None, common), [[1, 4, 5]])


@pytest.mark.parametrize("weighted", [False, True])
def test_fewer_components_than_the_rank_are_removed(weighted):
    for vectors in (np.zeros((0, 3)), np.ones((1, 3)), np.ones((9, 3))):
        assert len(common_components(vectors, 2, weighted=weighted).directions) == 0
    assert len(common_components(np.eye(3)[:2], 2, weighted=weighted).directions) == 1


@pytest.fixture
def vectors():
    deviations = np.linspace(3, 1, 8)
    return np.random.default_rng(5).normal(0.5, deviations, (200, 8)).astype(np.float32)


def assert_same_axes(directions, others):
    """Check that rows are equal up to their sign."""
    np.testing.assert_allclose(np.abs(np.sum(directions * others, axis=1)), 1, atol=1e-9)


def test_text_components_are_the_singular_vectors(vectors):
    from sklearn.decomposition import TruncatedSVD

    common = common_components(vectors, 3, weighted=True)
    oracle = TruncatedSVD(3, algorithm="arpack", random_state=0).fit(vectors.astype(np.float64))
    assert_same_axes(common.directions, oracle.components_)
    squares = oracle.singular_values_**2
    np.testing.assert_allclose(common.shares, squares / squares.sum())


@pytest.mark.parametrize("rows", [7, 200, 1000])
def test_word_components_are_the_principal_ones_in_blocks_of_any_size(vectors, monkeypatch, rows):
    from sklearn.decomposition import PCA

    monkeypatch.setattr(components, "ROWS", rows)
    oracle = PCA(3, svd_solver="full").fit(vectors.astype(np.float64))
    top = top_components(vectors, 3)
    np.testing.assert_allclose(top.mean, oracle.mean_)
    assert_same_axes(top.directions, oracle.components_)
    some = np.arange(3, 150, 2)
    part = top_components(vectors, 3, rows_of_words=some)
    again = top_components(np.ascontiguousarray(vectors[some]), 3)
    np.testing.assert_allclose(part.directions, again.directions, atol=1e-12)


def test_a_conceptor_shrinks_each_direction_by_its_strength_by_hand():
    # The mean squares are 4 and 1 along the axes, their mean is 2.5.
    table = np.array([[2, 1], [2, -1], [-2, 1], [-2, -1]], np.float32)
    common = conceptor(table)
    half = HALF * 2.5
    np.testing.assert_allclose(common.shares, [4 / (4 + half), 1 / (1 + half)])
    np.testing.assert_allclose(
        without([[1, 0], [0, 1]], common, None), np.diag(1 - common.shares), atol=1e-7
    )


def test_a_conceptor_is_the_negation_of_the_paper(vectors):
    """1 - R (R + c)^-1, with R the mean of v v^T, by numpy's inverse."""
    exact = vectors.astype(np.float64)
    r = exact.T @ exact / len(exact)
    c = HALF * np.trace(r) / len(r) * np.eye(len(r))
    negation = np.eye(len(r)) - r @ np.linalg.inv(r + c)
    found = without(vectors, conceptor(vectors), None)
    np.testing.assert_allclose(found, exact @ negation, rtol=1e-6, atol=1e-6)
    texts = common_components(found, 1, weighted=True)
    both = found - found @ texts.directions.T * texts.shares @ texts.directions
    np.testing.assert_allclose(
        without(vectors, conceptor(vectors), texts), both, rtol=1e-6, atol=1e-6
    )


def test_many_removed_components_and_the_mean_equal_one_after_the_other(vectors):
    """Of eight directions, five: one product instead of two."""
    top = top_components(vectors, 5)
    assert removal(top, None).kept is not None
    words = vectors - top.mean
    expected = 3 * (words - words @ top.directions.T @ top.directions)
    found = without(3 * vectors, top, None, totals=np.full(len(vectors), 3.0))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_a_conceptor_follows_rotation_and_scale(vectors):
    """Cosines depend on neither: they are no property of the words."""
    rotation = np.linalg.qr(np.random.default_rng(6).normal(size=(8, 8)))[0]

    def cosines(table):
        left = without(table, conceptor(table), None)
        left = left / np.linalg.norm(left, axis=1, keepdims=True)
        return left @ left.T

    moved = (1e-3 * vectors.astype(np.float64) @ rotation).astype(np.float32)
    np.testing.assert_allclose(cosines(moved), cosines(vectors), atol=1e-5)


def test_removing_both_at_once_equals_one_after_the_other(vectors):
    top = top_components(vectors, 2)
    words = vectors - top.mean
    words = words - words @ top.directions.T @ top.directions
    weights = np.zeros((2, len(vectors)))
    weights[0, :50], weights[1, 3:5] = 1, [0.5, 2]
    texts = weights @ words
    common = common_components(texts + vectors[:2], 2, weighted=True)
    expected = texts - texts @ common.directions.T * common.shares @ common.directions
    found = without(weights @ vectors, top, common, totals=[50, 2.5])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


SHAPES = st.tuples(st.integers(0, 9), st.just(3))


@given(st_numpy.arrays(np.float32, SHAPES, elements=st.floats(-4, 4, width=32)))
def test_nothing_remains_along_removed_components_and_nothing_is_nan(table):
    top = top_components(table, 2)
    left = without(table, top, None)
    assert np.isfinite(left).all()
    np.testing.assert_allclose(left @ top.directions.T, 0, atol=1e-5)
    assert np.isfinite(without(table, conceptor(table), None)).all()
    for weighted in (False, True):
        assert np.isfinite(without(table, top, common_components(left, 1, weighted=weighted))).all()
