import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes.catalog.records import EmbeddingRow, ShardRow
from indexes.catalog.registry import gaps
from indexes.errors import DamageError, InputError, MismatchError
from indexes.storage.files import FileDigest
from indexes.vectors.shards import (
    ShardDraft,
    mergeable,
    open_shard,
    pack_keys,
    rewritten,
    unpack_keys,
)

EMBEDDING = EmbeddingRow(1, "toy", {}, "toy", "f", 2, "float32")


def shard(number, first_key, stop_key, rows=1):
    return ShardRow(number, 1, first_key, stop_key, rows, None, None, FileDigest(0, ""), 0.0, {})


@given(st.integers(1, 1000), st.sets(st.integers(0, 300)))
def test_keys_of_an_interval_survive_packing(first_key, offsets):
    keys = np.array(sorted(first_key + offset for offset in offsets), np.int64)
    stop_key = first_key + 301
    assert unpack_keys(pack_keys(keys, first_key, stop_key), first_key, stop_key).tolist() == (
        keys.tolist()
    )


def test_an_interval_without_holes_needs_no_bitmap():
    assert pack_keys(np.arange(5, 9), 5, 9) is None


def test_a_row_of_zeros_is_answered_for_but_not_stored(tmp_path):
    draft = ShardDraft(EMBEDDING, 10)
    draft.append([10, 11, 13], np.array([[1, 0], [0, 0], [0, 1]], np.float32), seconds=1, report={})
    row = draft.write(1, 14, tmp_path)
    assert (row.rows, row.first_key, row.stop_key) == (2, 10, 14)
    block = open_shard(row, EMBEDDING, tmp_path)
    assert block.keys.tolist() == [10, 13]
    assert block.vectors.tolist() == [[1, 0], [0, 1]]


def test_a_shard_without_any_row_has_no_file(tmp_path):
    draft = ShardDraft(EMBEDDING, 1)
    draft.append([1], np.zeros((1, 2), np.float32), seconds=0, report={})
    row = draft.write(1, 2, tmp_path)
    assert row.file is None
    assert open_shard(row, EMBEDDING, tmp_path).vectors.shape == (0, 2)


def test_neighbouring_shards_merge_into_one_with_the_same_rows(tmp_path):
    first, second = ShardDraft(EMBEDDING, 1), ShardDraft(EMBEDDING, 4)
    first.append([1, 3], np.array([[1, 0], [0, 1]], np.float32), seconds=1, report={"texts": 2})
    second.append([4], np.array([[-1, 0]], np.float32), seconds=2, report={"texts": 1})
    rows = [first.write(1, 4, tmp_path), second.write(2, 5, tmp_path)]
    one = rewritten(rows, 3, EMBEDDING, tmp_path, np.empty(0, np.int64))
    assert (one.first_key, one.stop_key, one.seconds, one.report) == (1, 5, 3, {"texts": 3})
    block = open_shard(one, EMBEDDING, tmp_path)
    assert block.keys.tolist() == [1, 3, 4]
    assert block.vectors.tolist() == [[1, 0], [0, 1], [-1, 0]]


def test_runs_to_merge_stop_at_gaps_boundaries_and_size():
    shards = [shard(1, 1, 5), shard(2, 5, 9), shard(3, 9, 12), shard(4, 15, 20), shard(5, 20, 22)]
    numbers = [[s.number for s in run] for run in mergeable(shards, {9}, row_bytes=4)]
    assert numbers == [[1, 2], [4, 5]]
    large = [shard(1, 1, 2, rows=40 << 20), shard(2, 2, 3, rows=40 << 20)]
    assert list(mergeable(large, set(), row_bytes=1)) == []


def test_runs_to_merge_go_over_keys_that_no_passage_has():
    shards = [shard(1, 1, 5), shard(2, 7, 9), shard(3, 10, 12)]

    def merged(boundaries):
        runs = mergeable(shards, boundaries, 4, lambda first, stop: (first, stop) == (5, 7))
        return [[s.number for s in run] for run in runs]

    assert merged(set()) == [[1, 2]]
    # An index has seen all before key 5, which may have been taken since.
    assert merged({5}) == merged({6}) == []


def test_gaps_are_the_keys_that_no_shard_answers_for():
    assert gaps([], 10) == [(1, 10)]
    assert gaps([shard(1, 1, 10)], 10) == []
    assert gaps([shard(2, 6, 8), shard(1, 2, 4)], 10) == [(1, 2), (4, 6), (8, 10)]
    with pytest.raises(DamageError, match="cover the same keys"):
        gaps([shard(1, 1, 5), shard(2, 4, 8)], 10)


@pytest.mark.parametrize(
    ("vectors", "error", "says"),
    [
        (np.ones((1, 2)), MismatchError, r"shape \(1, 2\) for 2 texts; expected \(2, 2\)"),
        (np.ones((2, 3)), MismatchError, r"expected \(2, 2\)"),
        (
            np.array([[1, 0], [np.nan, 0]]),
            InputError,
            "vector of passage 8 holds a value that is not",
        ),
    ],
)
def test_vectors_that_do_not_fit_their_texts_are_refused(vectors, error, says):
    with pytest.raises(error, match=says):
        ShardDraft(EMBEDDING, 7).append([7, 8], vectors, seconds=0, report={})


@pytest.mark.parametrize("damage", ["flip", "cut", "remove", "grow"])
def test_a_damaged_file_is_never_opened(tmp_path, damage):
    draft = ShardDraft(EMBEDDING, 1)
    draft.append([1, 2], np.eye(2, dtype=np.float32), seconds=0, report={})
    row = draft.write(1, 3, tmp_path)
    path = tmp_path / row.file
    whole = path.read_bytes()
    if damage == "remove":
        path.unlink()
    else:
        changed = {"flip": whole[:-1] + b"\1", "cut": whole[:-1], "grow": whole + b"\0"}[damage]
        path.write_bytes(changed)
    with pytest.raises(DamageError, match="missing" if damage == "remove" else "damaged"):
        open_shard(row, EMBEDDING, tmp_path)
