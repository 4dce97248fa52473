"""FAISS behind the protocol of an index engine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import faiss

from indexes.neighbors import Keys
from indexes.vectors.blocks import Block
from indexes.vectors.engine import Definition, Described, Fill
from indexes.vectors.faiss_engine.automatic import automatic_factory
from indexes.vectors.faiss_engine.factory import build, check_factory
from indexes.vectors.faiss_engine.index import FaissIndex, load
from indexes.vectors.faiss_engine.kernels import computing
from indexes.vectors.faiss_engine.parts import filled, rows_at_once
from indexes.vectors.faiss_engine.search_params import SearchParameters, parameters_of


class FaissEngine:
    """`IndexEngine` over FAISS: `definition["factory"]` is a FAISS factory string."""

    suffix = ".faiss"
    version = f"FAISS {faiss.__version__}"

    def check(self, definition: Definition, dim: int) -> None:
        """Raise InputError if FAISS cannot build the definition."""
        SearchParameters.of(definition)
        check_factory(str(definition["factory"]), dim)

    def automatic(self, rows: int, dim: int, recall: float) -> dict[str, Any]:
        """Return the definition of the structure for so many vectors; see `automatic`."""
        factory = automatic_factory(rows, dim, recall)
        return {"factory": factory} if factory else {}

    def settled(self, definition: Definition, dim: int) -> dict[str, Any]:
        """Return a definition with the depth of its candidates, whatever the default becomes."""
        depth = self.parameters(definition, dim, 1).get("depth")
        search = {"depth": depth, **definition.get("search", {})} if depth else {}
        return {**definition, **({"search": search} if search else {})}

    def build(
        self,
        definition: Definition,
        dim: int,
        blocks: Sequence[Block],
        deleted: Keys,
        fill: Fill | None = None,
        described: Described | None = None,
    ) -> FaissIndex:
        """Train and fill an index; see `factory.build`. FAISS knows no metadata."""
        parameters = SearchParameters.of(definition)
        with computing():
            return build(str(definition["factory"]), dim, blocks, deleted, parameters, fill)

    def rows_at_once(self, dim: int) -> int:
        """Return how many rows are added at once; see `parts.rows_at_once`."""
        return rows_at_once(dim)

    def part(self, trained: bytes, blocks: Iterable[Block], deleted: Keys) -> bytes:
        """Return a part of an index for `Fill`: a trained one with the rows of some blocks."""
        with computing():
            return filled(trained, blocks, deleted)

    def load(self, path: Path, definition: Definition, dim: int) -> FaissIndex:
        """Read an index file; see `index.load`."""
        return load(path, dim, SearchParameters.of(definition))

    def parameters(self, definition: Definition, dim: int, k: int) -> dict[str, float]:
        """Return the search parameters for `k` neighbors, by FAISS's names."""
        empty = check_factory(str(definition["factory"]), dim)
        return parameters_of(empty, k, SearchParameters.of(definition))
