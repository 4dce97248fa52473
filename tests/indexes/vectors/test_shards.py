from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from indexes.catalog.records import EmbeddingRow, ShardRow
from indexes.catalog.registry import gaps
from indexes.errors import DamageError, InputError
from indexes.storage.files import FileDigest
from indexes.vectors.shards import (
    MAPPED_FILES,
    ShardDraft,
    keys_of,
    mergeable,
    open_shard,
    pack_keys,
    rewritten,
)
from tests.support.toy import refused

EMBEDDING = EmbeddingRow(1, "toy", {}, "toy", "f", 2, "float32")


def shard(number, first_key, stop_key, rows=1):
    return ShardRow(number, 1, first_key, stop_key, rows, None, None, FileDigest(0, ""), 0.0, {})


def draft(first_key, keys, vectors, seconds=0, **report):
    made = ShardDraft(EMBEDDING, first_key)
    made.append(keys, np.array(vectors, np.float32), seconds=seconds, report=report)
    return made


@given(st.integers(1, 1000), st.sets(st.integers(0, 300)))
def test_keys_of_an_interval_survive_packing(first_key, offsets):
    keys = np.array(sorted(first_key + offset for offset in offsets), np.int64)
    packed = pack_keys(keys, first_key, first_key + 301)
    row = replace(shard(1, first_key, first_key + 301), present=packed)
    assert keys_of(row).tolist() == keys.tolist()
    # An interval without holes needs no bitmap.
    assert pack_keys(np.arange(first_key, first_key + 4), first_key, first_key + 4) is None


def test_a_row_of_zeros_is_covered_but_not_stored(tmp_path):
    row = draft(10, [10, 11, 13], [[1, 0], [0, 0], [0, 1]]).write(1, 14, tmp_path)
    assert (row.rows, row.first_key, row.stop_key) == (2, 10, 14)
    block = open_shard(row, EMBEDDING, tmp_path)
    assert block.keys.tolist() == [10, 13]
    assert block.vectors.tolist() == [[1, 0], [0, 1]]
    # A shard without any row has no file.
    row = draft(1, [1], [[0, 0]]).write(1, 2, tmp_path)
    assert row.file is None
    assert open_shard(row, EMBEDDING, tmp_path).vectors.shape == (0, 2)


def test_adjacent_shards_merge_into_one_with_the_same_rows(tmp_path):
    first = draft(1, [1, 3], [[1, 0], [0, 1]], seconds=1, texts=2)
    second = draft(4, [4], [[-1, 0]], seconds=2, texts=1)
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
    large = [shard(n, n, n + 1, rows=40 << 20) for n in (1, 2)]
    assert list(mergeable(large, set(), row_bytes=1)) == []


def test_files_of_very_many_vectors_are_merged_until_all_can_be_mapped():
    shards = [shard(n, n, n + 1, rows=64 << 20) for n in range(1, 1001)]
    runs = mergeable(shards, set(), row_bytes=1)
    assert sum(map(len, runs)) == 1000
    assert 64 <= len(runs) <= MAPPED_FILES


def test_runs_to_merge_cross_keys_without_a_passage():
    shards = [shard(1, 1, 5), shard(2, 7, 9), shard(3, 10, 12)]

    def merged(boundaries):
        runs = mergeable(shards, boundaries, 4, lambda first, stop: (first, stop) == (5, 7))
        return [[s.number for s in run] for run in runs]

    assert merged(set()) == [[1, 2]]
    # An index covers all keys before 5; a passage may have got that key since.
    assert merged({5}) == merged({6}) == []


def test_gaps_are_the_keys_that_no_shard_covers():
    assert gaps([], 10) == [(1, 10)]
    assert gaps([shard(1, 1, 10)], 10) == []
    assert gaps([shard(2, 6, 8), shard(1, 2, 4)], 10) == [(1, 2), (4, 6), (8, 10)]
    overlapping = [shard(1, 1, 5), shard(2, 4, 8)]
    refused(DamageError, "cover the same keys", gaps, overlapping, 10)


def test_a_vector_that_is_not_finite_is_refused():
    append, vectors = ShardDraft(EMBEDDING, 7).append, np.array([[1, 0], [np.nan, 0]])
    message = "vector of passage 8 holds a value that is not finite"
    refused(InputError, message, append, [7, 8], vectors, seconds=0, report={})
