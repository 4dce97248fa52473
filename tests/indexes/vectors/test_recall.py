"""The recall that is measured after building is that of other queries of the same kind."""

import numpy as np
import pytest

from indexes.neighbors import normalize_queries
from indexes.vectors import approximate, exact
from indexes.vectors.blocks import Block
from indexes.vectors.faiss_engine.factory import build

DIM = 48


def points(count, seed):
    """Vectors in a narrow cone, as averages of words are, that vary by direction: .95^n."""
    drawn = np.random.default_rng(seed).standard_normal((count, DIM)) * 0.95 ** np.arange(DIM)
    drawn[:, -1] += 8
    return normalize_queries(drawn.astype(np.float32), DIM)


@pytest.fixture(scope="module")
def blocks():
    vectors = points(6000, 1)
    keys = np.arange(1, 6001)
    return [Block(keys[:2500], vectors[:2500]), Block(keys[2500:], vectors[2500:])]


@pytest.mark.parametrize("factory", ["IVF128,Flat", "SQ8_direct", "SQ8"])
def test_the_measured_recall_is_that_of_unseen_queries(blocks, factory):
    structure, none = build(factory, DIM, blocks), np.empty(0, np.int64)
    queries = points(300, 2)
    true = exact.search(queries, blocks, 10).scores
    found = approximate.search(structure, queries, 10, blocks).scores
    real = (found >= true[:, -1:]).mean()
    measured = approximate.recall(structure, blocks, none)
    assert measured == approximate.recall(structure, blocks, none)
    assert measured == pytest.approx(real, abs=0.04)
