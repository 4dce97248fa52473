"""Files of a trained model: vectors in a common format, and a record of the training."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from retriever.embedders.base import Matrix

VECTORS, SUBWORDS, FACTS = "vectors.bin", "model.bin", "training.json"


def write_vectors(path: Path, words: Iterable[str], vectors: Matrix) -> None:
    """Write word2vec's binary format: a line `words width`, then word, space, floats per word."""
    rows = np.ascontiguousarray(vectors, "<f4")
    with path.open("wb") as file:
        file.write(f"{len(rows)} {rows.shape[1]}\n".encode())
        for word, row in zip(words, rows, strict=True):
            file.write(f"{word} ".encode() + row.tobytes() + b"\n")


def write_facts(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write `training.json`."""
    (folder / FACTS).write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", "utf-8")
