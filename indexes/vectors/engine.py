"""The protocol of an index engine: what a library of approximate search has to provide.

To add one (hnswlib, usearch): write a package next to `faiss_engine` with a class for each of the
two protocols below, let `engines.engine_of` return it for the definitions that name it, and add
the package to the linter's list of modules that may import the library. Scores are the engine's
own: every candidate is scored again exactly, so an engine only has to find the right keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from indexes.catalog.filters.conditions import Filter
from indexes.neighbors import Keys, Matrix, Neighbors
from indexes.vectors.blocks import Block
from indexes.vectors.nodes import Nodes

# The definition of an index: `factory` says what to build, `search` (optional) how hard to search.
Definition = Mapping[str, Any]
# Fills copies of a trained structure, given by its bytes, with the rows of all blocks but those of
# some keys: yields parts of the structure as bytes, in the order of the rows.
Fill = Callable[[bytes, Keys], Iterator[bytes]]


@dataclass(frozen=True)
class Mask:
    """The nodes of one index that a search may find, with the keys that are left of each.

    `selector` is the engine's form of `visible` (nodes,).
    """

    visible: NDArray[np.bool_]
    selector: Any
    nodes: Nodes

    @cached_property
    def share(self) -> float:
        """The share of the nodes that is visible; computed once."""
        return float(self.visible.mean()) if len(self.visible) else 0.0

    @property
    def hidden(self) -> int:
        """The number of nodes that are not visible."""
        return round(len(self.visible) * (1 - self.share))

    @property
    def size(self) -> int:
        """Bytes of memory."""
        return self.visible.nbytes + self.nodes.heads.nbytes


class Described(Protocol):
    """The metadata of the documents of keys, at one state of a collection."""

    content: int
    """The generation that changed a document last."""

    def digests(self, keys: Keys) -> Keys:
        """Return a number for each of some keys, ascending, that changes with its metadata."""

    def metadata(self, keys: Keys) -> Iterator[Mapping[str, Any]]:
        """Yield the metadata of each of some keys, ascending."""


class VectorIndex(Protocol):
    """An index over vectors, built or loaded; searched by several threads at once."""

    @property
    def rows(self) -> int:
        """Number of keys; equal vectors share one node."""

    @property
    def keys(self) -> Keys:
        """All keys, (rows,), in the engine's order."""

    @property
    def heads(self) -> Keys:
        """The lowest key of each node."""

    def write(self, write: Callable[[bytes], int]) -> None:
        """Pass the index's file to `write`, a piece at a time."""

    def search(self, queries: Matrix, k: int, mask: Mask | None = None) -> Neighbors:
        """Return candidates for the `k` nearest keys of each query (n, dim), best first.

        Queries are as `normalize_queries` returns them: for vectors that are compared by inner
        products, of unit length.
        Each node is given by the lowest of its keys that `mask` does not hide; `expand` returns the
        others. There may be more than `k`, if the engine's scores are rough. A query of zeros finds
        nothing. The engine may find fewer than `k`: the caller fills up by brute force.

        Raises:
            InputError: `k` is not a positive integer, or the engine refuses.
            FilterNotSeenError: for a mask of `pushed`; then its keys have to be listed.
        """

    def expand(self, found: Neighbors, k: int, mask: Mask | None = None) -> Neighbors:
        """Return the `k` best keys of the nodes that `search` found, with their exact scores."""

    def mask(self, hidden: Keys) -> Mask | None:
        """Return a mask of this index that hides some keys (ascending); None if it has none."""

    def pushed(self, where: Filter, content: int, hidden: Mask | None) -> Mask | None:
        """Return a mask with which the engine evaluates a filter itself, on metadata that it has.

        None if it cannot do so exactly, or not for the state of the documents of which `content` is
        the generation: then the keys that the filter leaves are found here, for `mask`. It also
        hides what the mask `hidden` of this index does. Its `visible` is what may be found at most.
        """

    @property
    def visits_all(self) -> bool:
        """Whether a search looks at every node: else, a mask may hide all that it looks at."""

    def supports_filter(self, mask: Mask) -> bool:
        """Return whether searching with a mask costs less than brute force."""

    def efforts(self) -> Sequence[Sequence[Mapping[str, float]]]:
        """Return search parameters to choose from, which find more in later rows and columns."""

    def cost(self, search: Mapping[str, float]) -> float:
        """Return roughly how long a search with some parameters takes, the same on every machine.

        In nanoseconds of one thread, with the exact scoring of the candidates.
        """

    def using(self, search: Mapping[str, float]) -> VectorIndex:
        """Return the same index, not copied, with other search parameters."""


class IndexEngine(Protocol):
    """A library that builds, loads and parameterizes indexes. Stateless."""

    suffix: str
    """Suffix of its files, with the dot."""

    def check(self, definition: Definition, dim: int) -> None:
        """Raise InputError if the engine cannot build a definition for vectors of a width."""

    def automatic(self, rows: int, dim: int, recall: float) -> dict[str, Any]:
        """Return the definition of the structure for so many vectors; empty for exact search.

        `recall` is the recall@10 that it will be tuned to.
        """

    def settled(self, definition: Definition, dim: int) -> dict[str, Any]:
        """Return a definition with the search parameters that its index is to keep."""

    def build(
        self,
        definition: Definition,
        dim: int,
        blocks: Sequence[Block],
        deleted: Keys,
        fill: Fill | None = None,
        described: Described | None = None,
    ) -> VectorIndex:
        """Train and fill an index over all rows, without `deleted` keys (ascending).

        With `fill`, it is filled by others where the engine can merge what they return.
        All blocks have the same similarity, for which the index has to find the nearest: of unit
        vectors for the cosine, else of vectors as they are. An engine that evaluates filters takes
        the metadata from `described`; see `VectorIndex.pushed`.

        Raises:
            InputError: an invalid definition, too few vectors to train on, or too little memory.
        """

    def load(self, path: Path, definition: Definition, dim: int) -> VectorIndex:
        """Read an index file; the caller has verified its checksum.

        Raises:
            DamageError: the file cannot be read, or holds vectors of another width.
        """

    def parameters(self, definition: Definition, dim: int, k: int) -> dict[str, float]:
        """Return the search parameters for `k` neighbors, by the engine's names."""
