"""What every system of the comparison can do, in the same words."""

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

    Text goes in, and the system's own kind of answer comes out: that much is timed. `read_one` and
    `read_batch` turn an answer into something that can be checked, and are not timed.
    """

    name: str
    package: str
    # How it searches, and what is kept where, in a few words.
    how: str

    @abstractmethod
    def build(self, folder: Path, corpus: Corpus) -> None:
        """Store documents and their vectors in a new folder, for good."""

    @abstractmethod
    def open(self, folder: Path, encode: Encode) -> None:
        """Get ready to answer from what is stored; `encode` is the model of the queries."""

    @abstractmethod
    def search_one(self, text: str, k: int) -> Any:
        """The `k` documents nearest to a query, with ids, texts and scores."""

    def search_batch(self, texts: Sequence[str], k: int) -> Any:
        """The same for many queries at once; one by one where the system cannot."""
        return [self.search_one(text, k) for text in texts]

    @abstractmethod
    def read_one(self, answer: Any) -> list[Found]:
        """What `search_one` found, best first."""

    def read_batch(self, answers: Any) -> list[list[Found]]:
        """What `search_batch` found, query by query."""
        return [self.read_one(answer) for answer in answers]

    @abstractmethod
    def close(self) -> None:
        """Let go of what `open` opened."""
