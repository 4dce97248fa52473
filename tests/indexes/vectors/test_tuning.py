"""The cheapest search parameters that reach a recall, and the structure for a number of vectors."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.neighbors import normalize_queries
from indexes.vectors import approximate, exact, tuning
from indexes.vectors.blocks import Block
from indexes.vectors.engines import automatic
from indexes.vectors.faiss_engine import automatic as planning
from indexes.vectors.faiss_engine.factory import build

DIM, ROWS = 32, 1500
NONE = np.empty(0, np.int64)
FACTORIES = [
    *("HNSW8", "HNSW8_SQ8", "IVF32,Flat", "IVF32,PQ16x4fsr", "PQ32x4fs"),
    *("PQ16x4fs,RFlat", "IVF16,PQ16x4fs,RFlat", "PCA16,IVF16,Flat"),
]


def clustered(random):
    centers = random.standard_normal((40, DIM))
    return centers[random.integers(40, size=ROWS)] + 0.3 * random.standard_normal((ROWS, DIM))


def uniform(random):
    return random.standard_normal((ROWS, DIM))


def duplicates(random):
    some = random.standard_normal((ROWS // 5, DIM))
    return some[random.integers(len(some), size=ROWS) // 2]


def in_blocks(vectors, dtype=np.float32):
    vectors = normalize_queries(vectors.astype(np.float32), vectors.shape[1]).astype(dtype)
    keys, half = np.arange(1, len(vectors) + 1), len(vectors) // 3
    return [Block(keys[:half], vectors[:half]), Block(keys[half:], vectors[half:])]


@pytest.fixture(autouse=True)
def few_queries(monkeypatch):
    monkeypatch.setattr(tuning, "TUNED_WITH", 48)


@pytest.fixture(scope="module")
def blocks():
    return in_blocks(clustered(np.random.default_rng(1)))


@pytest.fixture(scope="module")
def structures(blocks):
    return {factory: build(factory, DIM, blocks) for factory in FACTORIES}


def recall_of(structure, search, blocks, queries, deleted=NONE):
    found = approximate.search(
        structure.using(search), queries, 10, blocks, structure.mask(deleted)
    ).scores
    true = exact.search(queries, blocks, 10, deleted).scores
    # Scores are exact: what is in both lists is the same or ties.
    pairs = zip(found.tolist(), true.tolist(), strict=True)
    return np.mean([(Counter(a) & Counter(b)).total() / 10 for a, b in pairs])


def test_ties_at_the_end_do_not_stand_for_better_ones_that_are_missed():
    found = np.array([[3, 1, 1, 1], [3, 2, 1, 1], [3, 2, 1, -np.inf]], np.float32)
    true = np.array([[3, 2, 2, 1], [3, 2, 1, 1], [3, 2, -np.inf, -np.inf]], np.float32)
    assert approximate.shares_found(found, true).tolist() == [0.5, 1.0, 1.0]


@pytest.mark.parametrize("factory", FACTORIES)
def test_the_recall_asked_is_reached_by_any_structure_or_by_none_of_its_settings(
    factory, structures, blocks
):
    structure = structures[factory]
    queries = approximate.near_vectors(structure.heads, blocks, tuning.TUNED_WITH)
    for asked in (0.5, 0.99):
        tuned = tuning.tune(structure, blocks, NONE, asked)
        reached = recall_of(structure, tuned.search, blocks, queries)
        assert tuned.recall == pytest.approx(reached)
        most = recall_of(structure, structure.efforts()[-1][-1], blocks, queries)
        assert tuned.recall >= asked or most < asked
        assert tuning.tune(structure, blocks, NONE, asked).search == tuned.search


@pytest.mark.parametrize("factory", FACTORIES)
def test_more_recall_costs_no_less(factory, structures, blocks):
    structure = structures[factory]
    costs = [
        structure.cost(tuning.tune(structure, blocks, NONE, asked).search)
        for asked in (0.3, 0.8, 0.95, 0.99)
    ]
    assert costs == sorted(costs)


@pytest.mark.parametrize("draw", [clustered, uniform, duplicates])
@pytest.mark.parametrize("factory", ["IVF32,PQ32x4fsr", "PQ32x4fs"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_the_structures_of_auto_reach_what_is_asked_with_exact_scores(draw, factory, dtype):
    blocks = in_blocks(draw(np.random.default_rng(2)), dtype)
    structure = build(factory, DIM, blocks)
    tuned = tuning.tune(structure, blocks, NONE, 0.95)
    assert tuned.recall >= 0.95
    queries = approximate.near_vectors(structure.heads, blocks, 40)
    found = approximate.search(structure.using(tuned.search), queries, 10, blocks)
    exactly = exact.rescore(normalize_queries(queries, DIM), found.keys, blocks)
    assert found.scores.tolist() == exactly.tolist()
    order = np.lexsort((found.keys, -found.scores), axis=-1)
    assert (order == np.arange(10)).all()


def test_a_structure_that_cannot_reach_the_recall_is_searched_as_hard_as_helps(blocks):
    structure = build("SQ8_direct", DIM, blocks)
    tuned = tuning.tune(structure, blocks, NONE, 0.999)
    best = max(tuned.recall for tuned in [tuning.tune(structure, blocks, NONE, 1.0)])
    assert tuned.recall == best


def test_deleted_rows_are_neither_found_nor_missed(structures, blocks):
    structure, deleted = structures["IVF32,PQ16x4fsr"], np.arange(1, ROWS, 2)
    tuned = tuning.tune(structure, blocks, deleted, 0.95)
    queries = approximate.near_vectors(structure.heads, blocks, tuning.TUNED_WITH)
    reached = recall_of(structure, tuned.search, blocks, queries, deleted)
    assert tuned.recall == pytest.approx(reached)
    assert reached >= 0.95


def test_fewer_rows_than_neighbors_are_all_found():
    blocks = in_blocks(uniform(np.random.default_rng(3))[:7])
    structure = build("HNSW8", DIM, blocks)
    assert tuning.tune(structure, blocks, np.arange(1, 4), 1.0).recall == 1.0
    measured = tuning.measure(structure, blocks, NONE)
    assert measured.recall == {1: 1.0}


def test_recall_is_measured_at_several_depths_and_queries_of_zeros_are_left_out(structures, blocks):
    queries = np.concatenate([blocks[0].vectors[:50], np.zeros((5, DIM), np.float32)])
    measured = tuning.measure(structures["HNSW8_SQ8"], blocks, NONE, queries)
    assert list(measured.recall) == [1, 10, 100]
    assert measured.recall[1] == 1.0
    assert measured.recall[100] > 0.98
    assert measured.queries == 50


@given(
    rows=st.integers(1, 10**8),
    dim=st.sampled_from([1, 25, 50, 256, 300, 384, 768, 1024, 1023]),
    recall=st.sampled_from([0.5, 0.98, 0.99, 1.0]),
)
@settings(max_examples=60)
def test_exact_search_below_a_size_and_codes_that_divide_the_width_above(rows, dim, recall):
    factory = automatic(rows, dim, recall).get("factory")
    if rows < planning.EXACT_ROWS:
        assert factory is None
    if factory is not None:
        planning_parts = int(factory.partition("PQ")[2].partition("x4fs")[0])
        assert dim % planning_parts == 0
        assert rows * dim > planning.EXACT_NUMBERS


def test_as_many_other_queries_reach_a_recall_that_a_sample_reaches_by_its_margin():
    random, asked, kept = np.random.default_rng(3), 0.95, []
    for true in np.linspace(0.93, 0.962, 4000):
        sample, other = random.binomial(10, true, (2, 256)) / 10
        if tuning._lower_bound(sample, asked) >= asked:
            kept.append(other.mean() >= asked)
    assert len(kept) > 300
    assert np.mean(kept) > 0.95
