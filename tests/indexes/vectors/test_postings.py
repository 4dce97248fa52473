"""Sparse vectors as postings: the same rows and scores as dense ones, also from files."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_array

from indexes.errors import DamageError
from indexes.vectors import exact, postings
from indexes.vectors.postings import Postings, SparseBlock
from tests.support.toy import refused

WIDTH = 7
# Multiples of 1/8, so that sums are exact in any order.
numbers = st.sampled_from([0.0, 0.0, 0.0, 0.125, 0.5, 1.0, 2.25])
rows = st.integers(0, 12).flatmap(lambda n: arrays(np.float32, (n, WIDTH), elements=numbers))
queries = arrays(np.float32, (3, WIDTH), elements=numbers)


def block(dense, first=1):
    keys = first + 2 * np.arange(len(dense))
    return SparseBlock(keys, Postings.of(csr_array(dense)), "dot")


def best(query, keys, dense, k):
    """Keys and scores of the `k` best rows that share a term with a query, by sorting all."""
    scores = dense @ query
    found = sorted((-score, key) for score, key in zip(scores.tolist(), keys, strict=True) if score)
    return [(key, -score) for score, key in found[:k]]


@given(rows, rows, queries, st.integers(1, 9), st.sets(st.integers(1, 40)))
def test_a_search_equals_a_sort_of_all_scores_for_any_blocks(first, second, asked, k, hidden):
    blocks = [block(first), block(second, first=101)]
    deleted = np.array(sorted(hidden), np.int64)
    found = exact.search(asked, blocks, k, deleted)
    keys = np.concatenate([one.keys for one in blocks])
    dense = np.concatenate([first, second])
    live = ~np.isin(keys, deleted)
    for row, query in enumerate(asked):
        wanted = best(query, keys[live].tolist(), dense[live], k)
        have = found.keys[row] != -1
        pairs = zip(found.keys[row][have].tolist(), found.scores[row][have].tolist(), strict=True)
        assert list(pairs) == wanted
    scores = exact.rescore(asked, np.tile(keys, (3, 1)), blocks)
    np.testing.assert_array_equal(scores, asked @ dense.T)


@given(rows, rows)
def test_rows_survive_joining_selection_and_files(tmp_path_factory, first, second):
    dense = np.concatenate([first, second])
    path = tmp_path_factory.mktemp("p") / "x.postings"
    digest = postings.write(path, [Postings.of(csr_array(part)) for part in (first, second)])
    assert digest.size == path.stat().st_size
    kept = postings.mapped(path)
    assert (kept.shape, kept.dtype, kept.is_mapped) == (dense.shape, np.float32, True)
    np.testing.assert_array_equal(kept, dense)
    np.testing.assert_array_equal(kept[::2], dense[::2])
    one = SparseBlock(np.arange(len(dense)), kept, "dot")
    np.testing.assert_array_equal(one.joined([one, one]).vectors, np.concatenate([dense, dense]))


def test_a_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "x.postings"
    np.ones((20, 3), np.float32).tofile(path)
    refused(DamageError, "does not hold sparse vectors", postings.mapped, path)


def test_equal_rows_tie_to_the_last_bit_and_are_ordered_by_key():
    rng = np.random.default_rng(3)
    one = rng.random((1, 500), np.float32) * (rng.random((1, 500)) < 0.3)
    dense = np.repeat(one.astype(np.float32), 40, axis=0)
    query = rng.random((1, 500), np.float32)
    found = exact.search(query, [block(dense[:15]), block(dense, 500)], 9)
    assert len(set(found.scores[0].tolist())) == 1
    assert found.keys[0].tolist() == list(range(1, 18, 2))
    assert found.scores[0, 0] == np.float32(dense[0].astype(float) @ query[0].astype(float))
