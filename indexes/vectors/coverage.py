"""How many passages an embedding covers."""

from __future__ import annotations

from collections.abc import Sequence

from indexes.catalog.corpus import Corpus
from indexes.catalog.records import ShardRow
from indexes.vectors.blocks import rows_of
from indexes.vectors.shards import unpack_keys


def live_rows(corpus: Corpus, shards: Sequence[ShardRow]) -> int:
    """Return how many passages an embedding can find, by the catalog alone, without its files."""
    deleted = corpus.tombstones()
    return sum(
        shard.rows
        - len(rows_of(deleted, unpack_keys(shard.present, shard.first_key, shard.stop_key)))
        for shard in shards
    )
