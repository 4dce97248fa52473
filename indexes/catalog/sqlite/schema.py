"""The names of the schema's steps: enough to know whether a catalog is of this version."""

from __future__ import annotations

# The set's name in the table of steps that were applied.
SET = "retriever"

FIRST = "0001_documents_embeddings_indexes"
STALE = "0002_stale_passages"
IMAGES = "0003_images"
SOURCES = "0004_sources_of_documents"
READINGS = "0005_readings_of_sources"

# A step that a catalog has and this list lacks comes from a newer version.
NAMES = frozenset({FIRST, STALE, IMAGES, SOURCES, READINGS})
