"""Embedders: text to vectors. Importing this loads no model library."""

from __future__ import annotations

from retriever.embedders.base import (
    Embedder,
    EmbedderSpec,
    ReportsCoverage,
    TextReport,
    modalities_of,
    similarity_of,
)
from retriever.embedders.contextual.embedder import ContextualEmbedder
from retriever.embedders.elmo.embedder import ElmoEmbedder
from retriever.embedders.hashing import HashingEmbedder
from retriever.embedders.registry import load_embedder, parse_spec
from retriever.embedders.sparse.embedder import SparseEmbedder
from retriever.embedders.static.embedder import StaticEmbedder

__all__ = [
    "ContextualEmbedder",
    "ElmoEmbedder",
    "Embedder",
    "EmbedderSpec",
    "HashingEmbedder",
    "ReportsCoverage",
    "SparseEmbedder",
    "StaticEmbedder",
    "TextReport",
    "load_embedder",
    "modalities_of",
    "parse_spec",
    "similarity_of",
]
