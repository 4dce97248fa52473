"""Shards of an embedding job that are not written yet."""

from __future__ import annotations

from indexes.catalog.records import EmbeddingRow
from indexes.pipeline.encoder import EncodedBatch
from indexes.progress import PEAK_MEMORY
from indexes.vectors.shards import ShardDraft

# A shard to write, and the key before which it ends.
Draft = tuple[ShardDraft, int]


class Drafts:
    """Shards that are being filled, in key order.

    Each covers all keys of an interval. So one ends before a passage that failed, and the next
    begins after it: no shard covers that passage, and the next call tries it again.
    """

    def __init__(self, embedding: EmbeddingRow) -> None:
        self._embedding = embedding
        self._open = ShardDraft(embedding, 1)
        self._ended: list[Draft] = []
        self._ended_bytes = 0

    @property
    def size(self) -> int:
        """Bytes of vectors."""
        return self._open.size + self._ended_bytes

    def add(self, part: EncodedBatch, memory: int) -> None:
        """Add vectors, and the memory that the process held when they were made."""
        report = {**part.report, PEAK_MEMORY: memory}
        self._open.append(part.keys, part.vectors, seconds=part.seconds, report=report)

    def end(self, stop_key: int, next_key: int) -> None:
        """Let the open shard cover all keys before `stop_key`; begin one at `next_key`."""
        if self._open.texts:
            self._ended.append((self._open, stop_key))
            self._ended_bytes += self._open.size
        self._open = ShardDraft(self._embedding, next_key)

    def take(self) -> list[Draft]:
        """Return the shards that are ready to be written, and release them."""
        ended, self._ended, self._ended_bytes = self._ended, [], 0
        return ended
