"""The place that picks the engine of an index."""

from __future__ import annotations

from indexes.vectors.engine import Definition, IndexEngine
from indexes.vectors.faiss_engine.engine import FaissEngine

FAISS = FaissEngine()


def engine_of(definition: Definition) -> IndexEngine:
    """Return the engine that builds and searches a definition: FAISS for all of them today."""
    return FAISS
