import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from indexes.errors import InputError, MismatchError
from indexes.neighbors import best, normalize_queries
from indexes.vectors import exact
from indexes.vectors.blocks import Block
from indexes.vectors.faiss_engine import kernels
from tests.support.toy import refused

EAST = np.array([[1, 0]], np.float32)


def block(keys, vectors):
    return Block(np.array(keys, np.int64), np.array(vectors, np.float32))


def unit(vectors):
    vectors = np.asarray(vectors, np.float64)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_the_nearest_of_three_directions_comes_first():
    directions = [block([7, 8, 9], [[1, 0], [0, 1], [-1, 0]])]
    found = exact.search(np.array([[3, 1]], np.float32), directions, k=2)
    assert found.keys.tolist() == [[7, 8]]
    assert found.scores[0] == pytest.approx([3 / 10**0.5, 1 / 10**0.5])


@pytest.mark.parametrize(
    ("blocks", "k", "deleted", "wanted"),
    [
        # Ties are ordered by key, also across blocks.
        ([([5, 9], [[1, 0], [0, 1]]), ([12, 30], [[1, 0], [1, 0]])], 2, [], [5, 12]),
        # `k` above the number of rows returns all.
        ([([1, 2], [[1, 0], [0, 1]])], 50, [], [1, 2]),
        # Deleted keys are left out, and others take their place.
        ([([1, 3, 5, 7], [[1, 0], [0.8, 0.6], [0.6, 0.8], [0, 1]])], 2, [1, 2, 5, 99], [3, 7]),
    ],
)
def test_the_best_live_keys_come_first_and_ties_by_key(blocks, k, deleted, wanted):
    found = exact.search(EAST, [block(*one) for one in blocks], k, np.array(deleted, np.int64))
    assert found.keys.tolist() == [wanted]


def test_of_a_thousand_equal_vectors_the_lowest_keys_are_found():
    # More ties than candidates are fetched at first: the search has to widen.
    same = [block(range(1, 1001), np.tile(unit([[1, 2, 3]]), (1000, 1)))]
    assert exact.search(unit([[1, 2, 3]]), same, k=5).keys.tolist() == [[1, 2, 3, 4, 5]]


def test_no_blocks_no_queries_and_a_query_of_zeros_find_nothing():
    assert exact.search(np.zeros((2, 3), np.float32), [], k=1).keys.shape == (2, 0)
    assert exact.search(np.zeros((0, 2), np.float32), [block([1], [[1, 0]])], k=1).keys.size == 0
    zeros_and_north = np.array([[0, 0], [0, 1]], np.float32)
    found = exact.search(zeros_and_north, [block([4], [[0, 1]])], k=1)
    assert list(found.lists()) == [([], []), ([4], [1.0])]


@pytest.mark.parametrize(
    ("queries", "k", "error", "message"),
    [
        (np.ones((1, 3)), 1, MismatchError, "3 wide; the index holds vectors that are 2 wide"),
        (np.ones(2), 1, InputError, r"expected \(number of queries, 2\)"),
        ([[1, 0], [1, np.nan]], 1, InputError, "Query vector 1 holds a value that is not finite"),
        ([[np.inf, 0]], 1, InputError, "Query vector 0"),
        (np.ones((1, 2)), 0, InputError, "k is 0; expected a whole number of at least 1"),
        (np.ones((1, 2)), -3, InputError, "k is -3"),
        (np.ones((1, 2)), True, InputError, "k is True"),
        (np.ones((1, 2)), 2.5, InputError, "k is 2.5"),
    ],
)
def test_invalid_queries_and_k_are_refused(queries, k, error, message):
    refused(error, message, exact.search, queries, [block([1], [[1, 0]])], k)


def test_best_rows_that_are_all_in_one_group_are_found():
    # 400 rows for 2 neighbors are 16 groups of 25: every sixteenth row.
    angles = np.full(400, 1.5)
    angles[[3, 19, 35, 51]] = 0.3, 0.1, 0.2, 0.4
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    found = exact.search(EAST, [block(range(400), rows)], k=2)
    assert found.keys.tolist() == [[19, 35]]


def test_live_rows_are_found_among_many_deleted_ones_in_small_blocks():
    blocks = [block([n], [[1, 0] if n % 7 else [0, 1]]) for n in range(60)]
    deleted = np.array([n for n in range(60) if n not in (13, 14, 58)])
    queries = np.array([[1, 0], [0, 1]], np.float32)
    found = exact.search(queries, blocks, k=5, deleted=deleted)
    assert [keys for keys, _ in found.lists()] == [[13, 58, 14], [14, 13, 58]]
    assert found.keys.shape == (2, 5)
    assert exact.search(queries, blocks, k=5, deleted=np.arange(60)).keys.tolist() == [[-1] * 5] * 2


vectors = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 40), st.just(4)), elements=st.integers(-3, 3).map(float)
).filter(lambda rows: rows.any(axis=1).all())


@given(vectors, vectors, st.integers(1, 50), st.randoms(use_true_random=False))
def test_brute_force_equals_a_sort_of_all_cosines_for_any_blocks(rows, queries, k, random):
    rows, keys = unit(rows), np.arange(10, 10 + len(rows))
    cuts = sorted(random.sample(range(len(rows)), k=min(3, len(rows))))
    blocks = [
        Block(part_keys, part)
        for part_keys, part in zip(np.split(keys, cuts), np.split(rows, cuts), strict=True)
        if len(part)
    ]
    found = exact.search(queries, blocks, k)
    cosines = (unit(queries)[:, None, :].astype(np.float64) * rows).sum(-1).astype(np.float32)
    for query, (got_keys, got_scores) in enumerate(found.lists()):
        order = sorted(range(len(rows)), key=lambda row: (-cosines[query, row], keys[row]))[:k]
        assert got_keys == keys[order].tolist()
        assert got_scores == cosines[query, order].tolist()


@given(vectors, st.floats(0.001, 1000))
def test_scaling_a_query_changes_nothing(rows, factor):
    rows = unit(rows)
    blocks = [Block(np.arange(len(rows)), rows)]
    query = np.array([[1, 2, 3, 4]], np.float32)
    one, other = exact.search(query, blocks, 5), exact.search(query * np.float32(factor), blocks, 5)
    assert other.scores == pytest.approx(one.scores, abs=1e-6)


@st.composite
def near_ties(draw):
    """Unit rows that hardly differ, some of them equal, and queries close to them."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    count, dim = draw(st.integers(1, 300)), draw(st.sampled_from([1, 2, 7, 48, 384]))
    noise = 10.0 ** -random.integers(0, 9, (count, 1))
    rows = random.standard_normal(dim) + noise * random.standard_normal((count, dim))
    rows[random.integers(0, count, count // 3)] = rows[random.integers(0, count, count // 3)]
    queries = rows[random.integers(0, count, 5)] + 1e-3 * random.standard_normal((5, dim))
    queries[draw(st.integers(0, 4))] = 0
    deleted = np.flatnonzero(random.random(count) < draw(st.sampled_from([0, 0.1, 0.9])))
    cuts = np.sort(random.integers(0, count, draw(st.integers(0, 4))))
    dtype = draw(st.sampled_from([np.float32, np.float16]))
    return unit(rows).astype(dtype), queries.astype(np.float32), deleted, cuts


@settings(deadline=None)
@given(near_ties(), st.integers(1, 40), st.sampled_from([9, 64, 16_384]))
def test_near_ties_are_distinguished_in_double_precision(case, k, chunk_rows):
    rows, queries, deleted, cuts = case
    keys = np.arange(len(rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "CHUNK_ROWS", chunk_rows)
        patch.setattr(exact, "QUERY_ROWS", 3)
        blocks = [*map(Block, np.split(keys, cuts), np.split(rows, cuts))]
        found = exact.search(queries, blocks, k, deleted)
    exactly = rows.astype(np.float64)
    if rows.dtype == np.float16:
        exactly /= np.sqrt(np.einsum("ij,ij->i", exactly, exactly))[:, None]
    live = np.setdiff1d(keys, deleted)
    directions = normalize_queries(queries, rows.shape[1])
    for query, (got_keys, got_scores) in zip(directions, found.lists(), strict=True):
        cosines = (exactly * query).sum(axis=1).astype(np.float32)
        order = sorted(live.tolist(), key=lambda row: (-cosines[row], row))[:k]
        if not query.any():
            order = []
        assert got_keys == order
        assert got_scores == cosines[order].tolist()


@settings(deadline=None)
@given(near_ties(), st.integers(1, 400))
def test_one_query_is_answered_as_in_a_batch_to_the_last_bit(case, k):
    # `exact._search_one` answers one query over one block in fewer steps.
    rows, queries, deleted, _ = case
    blocks = [Block(np.arange(len(rows)) * 3, rows)]
    together = exact.search(queries, blocks, k, deleted * 3)
    for row in range(len(queries)):
        alone = exact.search(queries[row : row + 1], blocks, k, deleted * 3)
        assert (alone.keys.dtype, alone.scores.dtype) == (np.int64, np.float32)
        assert alone.keys.tolist() == together.keys[row : row + 1].tolist()
        assert alone.scores.tolist() == together.scores[row : row + 1].tolist()


@pytest.mark.parametrize("equal", [3, 40])
@pytest.mark.parametrize("numbers", [0, exact.CACHED_NUMBERS])
def test_ties_at_the_end_are_ordered_by_key_however_many_there_are(equal, numbers, monkeypatch):
    # More equal rows than `nearest` looks at take the other way, as more numbers do.
    monkeypatch.setattr(exact, "CACHED_NUMBERS", numbers)
    rows = unit(np.random.default_rng(5).standard_normal((400, 16))).astype(np.float32)
    rows[100 : 100 + equal] = rows[7]
    found = exact.search(rows[7:8], [Block(np.arange(400) + 1000, rows)], k=3)
    assert found.keys.tolist() == [[1007, 1100, 1101]]
    assert len({*found.scores[0].tolist()}) == 1


@pytest.mark.parametrize("similarity", ["cosine", "dot", "euclidean"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("numbers", [0, exact.FEW_NUMBERS])
def test_the_best_of_candidates_are_those_of_a_sort_by_exact_score(
    similarity, dtype, numbers, monkeypatch
):
    # `exact._best_of_few` answers one query with few candidates in fewer steps.
    monkeypatch.setattr(exact, "FEW_NUMBERS", numbers)
    monkeypatch.setattr(kernels, "DECODED_BYTES", 10_000)
    random = np.random.default_rng(4)
    rows = unit(random.standard_normal((300, 8)))[random.integers(200, size=300)].astype(dtype)
    gapless, gaps = np.arange(100, 200), np.arange(200) * 3 + 250
    blocks = [Block(gapless, rows[:100], similarity), Block(gaps, rows[100:], similarity)]
    some = np.array([random.choice(1000, 90, replace=False) for _ in range(7)])
    some[0, 5:] = some[1] = -1
    queries = unit(random.standard_normal((7, 8))).astype(np.float32)
    queries[2] = 0
    expected = best(some, scores := exact.rescore(queries, some, blocks), 12)
    known = np.isfinite(expected.scores) & queries.any(axis=1)[:, None]
    for part in (slice(0, 7), *(slice(row, row + 1) for row in (0, 1, 3, 4, 5, 6))):
        found = exact.best_among(queries[part], some[part], blocks, 12)
        assert found.keys.tolist() == np.where(known, expected.keys, -1)[part].tolist()
        there = known[part]
        assert found.scores[there].tolist() == expected.scores[part][there].tolist()
        assert np.isneginf(found.scores[~there]).all()
    assert np.isfinite(scores).sum() > 100


def test_float16_vectors_are_searched_to_their_own_precision():
    rows = unit(np.random.default_rng(3).standard_normal((200, 8))).astype(np.float16)
    found = exact.search(rows[:20].astype(np.float32), [Block(np.arange(200), rows)], k=1)
    assert found.keys[:, 0].tolist() == list(range(20))


def test_few_rows_in_half_precision_are_decoded_once_and_more_for_each_query(monkeypatch):
    rows = unit(np.random.default_rng(3).standard_normal((200, 8))).astype(np.float16)
    some, query = Block(np.arange(200), rows), rows[:1].astype(np.float32)
    found = exact.search(query, [some], k=5)
    assert vars(some)["single"] is some.single
    assert some.single.tolist() == rows.astype(np.float32).tolist()
    monkeypatch.setattr(exact, "DECODED", rows.size - 1)
    other = Block(np.arange(200), rows)
    again = exact.search(query, [other], k=5)
    assert "single" not in vars(other)
    assert (again.keys.tolist(), again.scores.tolist()) == (
        found.keys.tolist(),
        found.scores.tolist(),
    )
