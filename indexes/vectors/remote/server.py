"""The protocol of a server of vectors: what Milvus, Qdrant or OpenSearch has to provide.

To add one: write a module with a class that has these members, let `engines.SERVERS` name it, and
run `tests/support/engine_contract.py` over it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from indexes.neighbors import Keys, Matrix, Neighbors
from indexes.vectors.remote.conditions import Condition
from indexes.vectors.remote.fields import Row

Number = int | float


@dataclass(frozen=True)
class Structure:
    """What a server is to build: `type` and `options` by its own names."""

    type: str
    options: Mapping[str, Number] = field(default_factory=dict)

    def __str__(self) -> str:
        return ",".join([self.type, *(f"{name}={value}" for name, value in self.options.items())])

    @classmethod
    def of(cls, text: str) -> Structure:
        """Return what `str` of a structure wrote."""
        kind, *options = text.split(",")
        pairs = (option.partition("=")[::2] for option in options)
        return cls(kind, {name: number(value) for name, value in pairs})


@dataclass(frozen=True)
class Shape:
    """The vectors of a collection on a server: their width, and how they are compared."""

    dim: int
    similarity: str
    structure: Structure


@dataclass(frozen=True)
class Chosen:
    """The keys that a search may find, or else those that it may not.

    With an `expression`, a condition in the server's own form, which rows have to meet as well.
    """

    keys: Keys
    shown: bool
    expression: Any = None


class VectorServer(Protocol):
    """Collections of vectors under integer keys, on a server. Used by several threads at once.

    Every method takes a bounded time. All raise an EngineError where the server does not answer in
    it, refuses the password, or fails; the message says which.
    """

    place: str
    """Where it is, for messages: `Milvus at http://10.0.0.1:19530`."""

    most_found: int
    """The most that a search can ask for."""

    most_chosen: int
    """With more keys to be shown or hidden, a search is not worth its while."""

    def check(self, structure: Structure) -> None:
        """Raise an InputError for a structure that the server cannot build."""

    def efforts(self, structure: Structure) -> Sequence[Mapping[str, float]]:
        """Return search parameters that find more and more."""

    def usual(self, structure: Structure) -> Mapping[str, float]:
        """Return the search parameters unless others are chosen."""

    def create(self, name: str, shape: Shape, properties: Mapping[str, str]) -> None:
        """Create an empty collection with some properties."""

    def properties(self, name: str) -> Mapping[str, str] | None:
        """Return the properties of a collection; None if there is none of that name."""

    def set_properties(self, name: str, properties: Mapping[str, str]) -> None:
        """Set some properties."""

    def shape(self, name: str) -> tuple[int, str]:
        """Return the width of the vectors of a collection, and how they are compared."""

    def expression(self, condition: Condition) -> Any:
        """Return a condition as `search` takes it; None if the server has no exact equivalent."""

    def upsert(self, name: str, keys: Keys, vectors: Matrix, rows: Sequence[Row]) -> None:
        """Add vectors and the fields of their rows, or replace those of their keys."""

    def delete(self, name: str, keys: Keys) -> None:
        """Remove the vectors of some keys."""

    def settle(self, name: str, shape: Shape) -> str:
        """Wait until what was written is in the structure, and that can be searched.

        Return a point in the server's own time by which all was written; empty if it has none, or
        nothing was written.
        """

    def search(
        self,
        name: str,
        shape: Shape,
        queries: Matrix,
        k: int,
        parameters: Mapping[str, float],
        chosen: Chosen | None,
        point: str,
    ) -> Neighbors:
        """Return up to `k` nearest of each query by the server's own scores, best first.

        Among all that was written up to a `point` that `settle` returned; empty: up to now.
        """

    def fetch(self, name: str, keys: Keys) -> tuple[Keys, Matrix, Sequence[Row]]:
        """Return those of some keys that are there, ascending, with their vectors and fields."""

    def count(self, name: str) -> int:
        """Return how many vectors there are."""

    def drop(self, name: str) -> None:
        """Remove a collection; nothing happens if there is none of that name."""


def number(text: object) -> Number:
    """Return a number as text as an integer if it is one; a ValueError if it is none."""
    value = float(str(text))
    return int(value) if value.is_integer() else value


def batches(keys: Keys, most: int) -> Iterable[Keys]:
    """Yield some keys in parts of at most so many."""
    for start in range(0, len(keys), most):
        yield keys[start : start + most]
