"""The file of what an embedder was fitted to on the corpus, read back."""

from __future__ import annotations

from pathlib import Path

from indexes.catalog.records import EmbeddingRow
from indexes.errors import NextStep
from indexes.storage.files import read_verified


def read_parameters(folder: Path, embedding: EmbeddingRow, index: str) -> bytes | None:
    """Return what an embedding's embedder was fitted to; None where it was fitted to nothing.

    Raises:
        DamageError: the file is not the one that the catalog names; the next step is a refit.
    """
    if embedding.fitted.file is None:
        return None
    cure = NextStep("refit", folder, index)
    return read_verified(folder / embedding.fitted.file, embedding.fitted.digest, cure)
