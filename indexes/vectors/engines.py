"""The place that picks the engine of an index."""

from __future__ import annotations

from typing import Any

from indexes.vectors.engine import Definition, IndexEngine
from indexes.vectors.faiss_engine.engine import FaissEngine

FAISS = FaissEngine()


def engine_of(definition: Definition) -> IndexEngine:
    """Return the engine that builds and searches a definition: FAISS for all of them today."""
    return FAISS


def automatic(rows: int, dim: int, recall: float) -> dict[str, Any]:
    """Return the definition of the best structure for so many vectors; empty for exact search."""
    return FAISS.automatic(rows, dim, recall)
