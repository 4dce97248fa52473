"""Batch sizes and commit rhythm of an embedding job."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BatchSchedule:
    """How many texts are encoded at once, and how much is done between two commits.

    Batches grow or shrink to take `seconds` each, from `first` texts to at most `largest`. A commit
    is due after `commit_seconds`, or `commit_bytes` of vectors.
    """

    first: int
    largest: int
    seconds: float
    commit_seconds: float
    commit_bytes: int

    def next_size(self, size: int, seconds: float) -> int:
        """Return the batch size that fits the speed just measured, grown by steps."""
        fitting = int(size * self.seconds / max(seconds, 1e-3))
        return max(1, self.first // 2, min(fitting, 4 * size, self.largest))

    def is_commit_due(self, size: int, seconds: float) -> bool:
        """Return whether `size` bytes of vectors, the oldest `seconds` old, are to be committed."""
        return size >= self.commit_bytes or seconds >= self.commit_seconds
