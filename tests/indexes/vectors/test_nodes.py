"""Equal vectors share one node of a structure, and every key of it is found, hidden and kept."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.vectors import approximate, exact
from indexes.vectors.blocks import Block
from indexes.vectors.faiss_engine import index as faiss_engine
from indexes.vectors.faiss_engine.factory import build
from indexes.vectors.faiss_engine.index import load
from indexes.vectors.nodes import duplicates
from tests.support.laws import examples

NOTHING = np.empty(0, np.int64)


def directions(count, dim=16, seed=0):
    rows = np.random.default_rng(seed).standard_normal((count, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def in_blocks(vectors, dtype=np.float32, cuts=(0.3, 0.7)):
    """The vectors under the keys 1, 3, 5, ... in three blocks."""
    keys, places = np.arange(1, 2 * len(vectors), 2), [int(cut * len(vectors)) for cut in cuts]
    parts = zip(np.split(keys, places), np.split(vectors.astype(dtype), places), strict=True)
    return [Block(*part) for part in parts if len(part[0])]


@settings(max_examples=examples(40), deadline=None)
@given(
    copies=st.lists(st.integers(0, 30), min_size=1, max_size=120),
    hidden=st.sets(st.integers(0, 119)),
    k=st.integers(1, 130),
    factory=st.sampled_from(["Flat", "HNSW16", "IVF1,Flat"]),
    dtype=st.sampled_from([np.float32, np.float16]),
    data=st.data(),
)
def test_answers_are_exact_however_often_each_vector_occurs(
    copies, hidden, k, factory, dtype, data, tmp_path_factory
):
    blocks = in_blocks(directions(31)[copies], dtype)
    keys = np.concatenate([block.keys for block in blocks])
    gone = keys[sorted(place for place in hidden if place < len(keys))]
    before = data.draw(st.sampled_from([NOTHING, gone[::2]]))
    if len(before) == len(keys):
        return
    index = build(factory, 16, blocks, before)
    path = tmp_path_factory.mktemp("nodes") / "x.faiss"
    with path.open("wb") as file:
        index.write(file.write)
    queries = directions(3, seed=1)
    for structure in (index, load(path, 16)):
        assert structure.rows == len(keys) - len(before)
        assert sorted(structure.keys) == sorted(np.setdiff1d(keys, before))
        found = approximate.search(structure, queries, k, blocks, structure.mask(gone))
        true = exact.search(queries, blocks, k, gone)
        assert list(found.lists()) == list(true.lists())


@pytest.mark.parametrize("factory", ["HNSW16", "HNSW32", "IVF16,Flat", "HNSW16_SQ8"])
def test_thousands_of_equal_vectors_hide_no_other(factory):
    unique = directions(300, 32)
    blocks = in_blocks(np.concatenate([np.repeat(unique[:1], 3000, axis=0), unique]))
    index = build(factory, 32, blocks)
    found = approximate.search(index, unique, 1, blocks)
    assert found.scores.min() > 0.9999
    found = approximate.search(index, unique[:1], 3001, blocks)
    assert found.keys[0].tolist() == [*range(1, 6001, 2), 6001]


def test_a_node_of_many_keys_gives_its_lowest(tmp_path):
    unique = directions(50)
    blocks = in_blocks(np.concatenate([unique, np.repeat(unique[7:8], 10_000, axis=0)]))
    index = build("HNSW16", 16, blocks)
    assert (len(index.keys), index._index.ntotal) == (10_050, 50)
    candidates = index.search(unique[7:8], 3)
    assert candidates.keys.shape == (1, 3)
    assert index.expand(candidates, 3).keys.tolist() == [[15, 101, 103]]


def test_a_file_without_equal_vectors_is_as_before(tmp_path):
    path = tmp_path / "x.faiss"
    index = build("HNSW16", 16, in_blocks(directions(40)))
    with path.open("wb") as file:
        index.write(file.write)
    assert path.stat().st_size == len(faiss_engine.faiss.serialize_index(index._file))


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_vectors_that_differ_in_their_last_number_only_are_no_duplicates(dtype):
    vectors = np.ones((6, 101))
    vectors[:, -1] = [1, 2, 3, 1, 2, 4]
    further, owners = duplicates(in_blocks(vectors, dtype), np.array([3]))
    assert further.tolist() == [7]
    assert owners.tolist() == [1]
