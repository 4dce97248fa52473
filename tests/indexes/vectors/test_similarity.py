"""Vectors of their own lengths: inner products and distances, by brute force and in FAISS."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.errors import InputError
from indexes.neighbors import LONGEST
from indexes.search.prefilter import AllowList, KeySet, prefilter_of
from indexes.vectors import exact
from indexes.vectors.blocks import Block, join_small, live
from indexes.vectors.faiss_engine.factory import build
from tests.support.laws import examples
from tests.support.toy import refused

RAW = ["dot", "euclidean"]


def scores_of(query, rows, similarity):
    """The oracle: every score in double precision, then rounded once."""
    query, rows = query.astype(np.float64), rows.astype(np.float64)
    if similarity == "dot":
        return (rows * query).sum(axis=1).astype(np.float32)
    return -np.sqrt(((rows - query) ** 2).sum(axis=1)).astype(np.float32)


def ranked(scores, keys, k):
    order = np.lexsort((keys, -scores))[:k]
    return keys[order].tolist(), scores[order].tolist()


@st.composite
def raw_rows(draw):
    """Rows of widely varying lengths, some of them equal, zero or nearly so, and queries."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    count, dim = draw(st.integers(1, 300)), draw(st.sampled_from([1, 2, 7, 48, 384]))
    spread = draw(st.sampled_from([0.0, 0.1, 3.0, 12.0]))
    scale = 10.0 ** (spread * random.uniform(-1, 1, (count, 1)))
    offset = draw(st.sampled_from([0.0, 1.0, 1000.0])) * random.standard_normal(dim)
    rows = offset + scale * random.standard_normal((count, dim))
    if draw(st.booleans()):
        rows = np.round(rows)
    rows[random.integers(0, count, count // 3)] = rows[random.integers(0, count, count // 3)]
    queries = rows[random.integers(0, count, 5)] * random.choice([1, 1e-3, 7.0], (5, 1))
    queries[draw(st.integers(0, 4))] = 0
    deleted = np.flatnonzero(random.random(count) < draw(st.sampled_from([0, 0.1, 0.9])))
    cuts = np.sort(random.integers(0, count, draw(st.integers(0, 4))))
    dtype = np.float16 if spread < 1 and draw(st.booleans()) else np.float32
    return rows.astype(dtype), queries.astype(np.float32), deleted, cuts


@settings(max_examples=examples(60), deadline=None)
@given(raw_rows(), st.sampled_from(RAW), st.integers(1, 40), st.sampled_from([9, 64, 16_384]))
def test_brute_force_equals_a_sort_of_all_scores_in_double_precision(case, similarity, k, chunk):
    rows, queries, deleted, cuts = case
    keys = np.arange(len(rows))
    parts = zip(np.split(keys, cuts), np.split(rows, cuts), strict=True)
    blocks = [Block(*part, similarity) for part in parts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "CHUNK_ROWS", chunk)
        patch.setattr(exact, "QUERY_ROWS", 3)
        found = list(exact.search(queries, blocks, k, deleted).lists())
        whole = [Block(keys, rows, similarity)]
        alone = [exact.search(queries[n : n + 1], whole, k, deleted) for n in range(5)]
    rest = np.setdiff1d(keys, deleted)
    for query, got, one in zip(queries, found, alone, strict=True):
        scores = scores_of(query, rows[rest], similarity)
        wanted = ranked(scores, rest, k) if query.any() else ([], [])
        assert got == wanted
        assert next(one.lists()) == wanted


def test_a_longer_vector_wins_by_dot_and_a_nearer_one_by_distance():
    rows = np.array([[1, 0], [5, 5], [2, 0], [0, 0.5]], np.float32)
    keys, query = np.array([3, 4, 8, 9]), np.array([[2, 0]], np.float32)
    by_dot = exact.search(query, [Block(keys, rows, "dot")], k=4)
    assert (by_dot.keys.tolist(), by_dot.scores.tolist()) == ([[4, 8, 3, 9]], [[10, 4, 2, 0]])
    near = exact.search(query, [Block(keys, rows, "euclidean")], k=2)
    assert (near.keys.tolist(), near.scores.tolist()) == ([[8, 3]], [[0, -1]])


def test_every_way_to_take_rows_of_a_block_keeps_its_similarity():
    block = Block(np.arange(6), np.arange(12, dtype=np.float32).reshape(6, 2), "dot")
    allowed = AllowList("", partial(KeySet.of, np.array([2, 3])))
    few = prefilter_of([block], np.empty(0, np.int64), allowed).few
    parts = [
        live(block, np.array([1])),
        live(block, np.empty(0, np.int64), step=2),
        *join_small([live(block, np.arange(3)), live(block, np.arange(3, 6))]),
        *few,
    ]
    assert [part.similarity for part in parts] == ["dot"] * len(parts)


@pytest.mark.parametrize("similarity", RAW)
def test_a_query_too_long_for_single_precision_is_refused(similarity):
    blocks = [Block(np.array([1]), np.ones((1, 2), np.float32), similarity)]
    query = np.array([[2 * LONGEST, 0]], np.float32)
    refused(
        InputError, f"Query vector 0 .*at most .*'{similarity}'", exact.search, query, blocks, 1
    )
    query = np.array([[LONGEST, 0]], np.float32)
    assert np.isfinite(exact.search(query, blocks, 1).scores).all()


FACTORIES = ["HNSW32", "IVF8,Flat", "IVF8,SQ8", "IVF8,PQ16x4fs,RFlat", "PQ16x4,RFlat", "SQfp16"]


@pytest.mark.parametrize("similarity", RAW)
@pytest.mark.parametrize("factory", FACTORIES)
def test_faiss_finds_most_of_the_best_by_the_blocks_similarity(factory, similarity):
    random = np.random.default_rng(2)
    rows = random.standard_normal((900, 32)) * random.uniform(0.5, 2, (900, 1))
    rows, keys = rows.astype(np.float32), np.arange(900) * 2
    deleted = keys[::9]
    block = Block(keys, rows, similarity)
    index = build(factory, 32, [block], deleted)
    queries = rows[:50] + 0.1 * random.standard_normal((50, 32)).astype(np.float32)
    best = exact.search(queries, [block], 10, deleted).keys
    hidden = np.union1d(deleted, keys[::5])
    visible = exact.search(queries, [block], 10, hidden).keys
    masked = index.search(queries, 10, index.mask(hidden)).keys
    for wanted, found in ((best, index.search(queries, 10).keys), (visible, masked)):
        share = np.mean([np.isin(*pair).mean() for pair in zip(wanted, found, strict=True)])
        assert share > 0.9, share
    assert not np.isin(masked, hidden).any()
    assert (index.search(np.zeros((1, 32)), 3).keys == -1).all()
