"""The interface of every system of the comparison."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.ann.vectors import Vectors

__all__ = ["RECALLS", "Rows", "Search", "System"]

RECALLS = (0.95, 0.99)
Rows = NDArray[np.int64]
# Some of the queries, by their places, and the number of neighbors; what is found, as it comes.
Search = Callable[[slice, int], Any]


class System(ABC):
    """A structure over vectors, in a folder of its own."""

    def __init__(self, name: str, folder: Path, recalls: Sequence[float] = RECALLS) -> None:
        """Name a structure, and the recalls@10 for which it is measured."""
        self.name, self.folder, self.recalls = name, folder, recalls

    @abstractmethod
    def build(self, vectors: Vectors) -> None:
        """Build the structure and write it."""

    @abstractmethod
    def open(self, vectors: Vectors) -> None:
        """Read it."""

    @abstractmethod
    def reaching(self, recall: float, reached: Callable[[Search], float]) -> tuple[Any, Search]:
        """Return the least effort that reaches a recall@10, and the search with it.

        `reached` measures the recall of a search. If none reaches it, the hardest is returned.
        """

    def rows(self, answer: Any) -> Rows:
        """Return the rows that a search has found, (queries, k)."""
        found: Rows = answer
        return found

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())
