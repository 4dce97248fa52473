"""The file of what an embedder was fitted to on the corpus, read back."""

from __future__ import annotations

from pathlib import Path

from indexes.catalog.records import EmbeddingRow
from indexes.storage.files import read_sealed


def read_parameters(folder: Path, embedding: EmbeddingRow, index: str) -> bytes | None:
    """Return what an embedding's embedder was fitted to; None where it was fitted to nothing.

    Raises:
        DamageError: the file is not the one that the catalog names; says to refit `index`.
    """
    if embedding.fitted.file is None:
        return None
    cure = f"It cannot be derived from anything else. Refit index '{index}'."
    return read_sealed(folder / embedding.fitted.file, embedding.fitted.digest, cure)
