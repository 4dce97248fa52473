"""The interface of every system of the comparison."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.material import Corpus, Encode

__all__ = ["Found", "System"]

# Document id, text, score; a score is a cosine.
Found = tuple[str, str, float]


class System(ABC):
    """A store of documents and vectors, used as its documentation says.

    Text goes in, and the system's native result comes out: that is timed. `read_one` and
    `read_batch` convert a result so that it can be checked, and are not timed.
    """

    name: str
    package: str
    # How it searches, and what is kept where, in a few words.
    how: str

    @abstractmethod
    def build(self, folder: Path, corpus: Corpus) -> None:
        """Store documents and their vectors in a new folder, durably."""

    @abstractmethod
    def open(self, folder: Path, encode: Encode) -> None:
        """Open what is stored, ready to search; `encode` is the model of the queries."""

    @abstractmethod
    def search_one(self, text: str, k: int) -> Any:
        """Return the `k` documents nearest to a query, with ids, texts and scores."""

    def search_batch(self, texts: Sequence[str], k: int) -> Any:
        """Return the same for many queries at once; one by one where the system cannot."""
        return [self.search_one(text, k) for text in texts]

    @abstractmethod
    def read_one(self, answer: Any) -> list[Found]:
        """Return the hits of `search_one`, best first."""

    def read_batch(self, answers: Any) -> list[list[Found]]:
        """Return the hits of `search_batch`, query by query."""
        return [self.read_one(answer) for answer in answers]

    @abstractmethod
    def close(self) -> None:
        """Release what `open` opened."""
