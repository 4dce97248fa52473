"""The systems of the comparison; each is imported only where it is measured."""

from __future__ import annotations

import importlib

from benchmarks.peers.system import System

__all__ = ["NAMES", "system"]

_CLASSES = {
    "ours": ("ours", "Retriever"),
    "ours-hnsw": ("ours", "RetrieverHNSW"),
    "plain": ("plain", "Plain"),
    "langchain": ("langchain", "LangChain"),
    "txtai": ("txtai", "Txtai"),
    "chroma": ("chroma", "Chroma"),
    "sqlite-vec": ("sqlite_vec", "SqliteVec"),
    "lancedb": ("lancedb", "LanceDB"),
}
NAMES = tuple(_CLASSES)


def system(name: str) -> System:
    """Return a system by its name, its module imported now."""
    module, kind = _CLASSES[name]
    made: System = getattr(importlib.import_module(f"benchmarks.peers.{module}"), kind)()
    return made
