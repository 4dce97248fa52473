"""Shards that workers have finished, and that no commit names yet: found by their sidecars."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from indexes.catalog.corpus import Corpus
from indexes.catalog.records import ShardRow
from indexes.catalog.registry import Registry, gaps
from indexes.storage.files import digest_of, size_of
from indexes.vectors.shards import keys_of
from indexes.vectors.sidecars import sidecars


@dataclass(frozen=True)
class Finished:
    """A finished shard, without a number, and its sidecar."""

    shard: ShardRow
    sidecar: Path


def finished_shards(folder: Path, corpus: Corpus, registry: Registry) -> Iterator[Finished]:
    """Yield the shards that the next build of their embedding can commit as they are.

    They fill a gap of an embedding that is still the same, and of its keys, which never get
    another text, none was forgotten. Of several for the same keys, it is the first one.
    """
    known = list(sidecars(folder))
    if not known:
        return
    embeddings = {row.number: row.fingerprint for row in registry.embeddings()}
    left = {number: gaps(registry.shards(number), corpus.stop_key()) for number in embeddings}
    taken: list[ShardRow] = []
    for path, shard, fingerprint in known:
        if embeddings.get(shard.embedding) != fingerprint:
            continue
        fits = any(
            first <= shard.first_key < shard.stop_key <= stop
            for first, stop in left[shard.embedding]
        )
        if fits and not any(_overlap(shard, other) for other in taken):
            whole = shard.file is None or size_of(folder / shard.file) == shard.digest.size
            if whole and not corpus.unknown_keys(keys_of(shard)):
                taken.append(shard)
                yield Finished(shard, path)


def is_whole(shard: ShardRow, folder: Path) -> bool:
    """Return whether the file of a finished shard is the one that was written."""
    try:
        return shard.file is None or digest_of(folder / shard.file) == shard.digest
    except OSError:
        return False


def covering(folder: Path, embedding: int, first_key: int, stop_key: int) -> list[ShardRow]:
    """Return the finished shards of an embedding that cover an interval; none if they do not."""
    found, position = list[ShardRow](), first_key
    for _, shard, _ in sidecars(folder, first_key):
        if shard.embedding == embedding and shard.first_key == position <= stop_key:
            if shard.stop_key > stop_key or not is_whole(shard, folder):
                return []
            found.append(shard)
            position = shard.stop_key
    return found if position == stop_key else []


def _overlap(one: ShardRow, other: ShardRow) -> bool:
    same = one.embedding == other.embedding
    return same and one.first_key < other.stop_key and other.first_key < one.stop_key
