"""Embedders: text to vectors. Importing this loads no model library."""

from __future__ import annotations

from retriever.embedders.base import Embedder, EmbedderSpec, Reporting, TextReport
from retriever.embedders.contextual import ContextualEmbedder
from retriever.embedders.elmo import ElmoEmbedder
from retriever.embedders.hashing import HashingEmbedder
from retriever.embedders.specs import load_embedder, parse_spec
from retriever.embedders.static import StaticEmbedder

__all__ = [
    "ContextualEmbedder",
    "ElmoEmbedder",
    "Embedder",
    "EmbedderSpec",
    "HashingEmbedder",
    "Reporting",
    "StaticEmbedder",
    "TextReport",
    "load_embedder",
    "parse_spec",
]
