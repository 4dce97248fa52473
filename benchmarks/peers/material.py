"""The input of every system: documents, queries, and the vectors of both, embedded once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.certificate import checksum, collection_folder, data_folder

__all__ = [
    "MODEL",
    "Corpus",
    "Encode",
    "Matrix",
    "Queries",
    "corpus",
    "embedded",
    "files",
    "given",
    "model",
    "queries",
]

Matrix = NDArray[np.float32]
Encode = Callable[[Sequence[str]], Matrix]

MODEL = "all-MiniLM-L6-v2"


@dataclass(frozen=True)
class Corpus:
    """Documents in their order: ids, title and text joined by a space, unit vectors."""

    doc_ids: list[str]
    texts: list[str]
    vectors: Matrix


@dataclass(frozen=True)
class Queries:
    """The test queries and their unit vectors."""

    texts: list[str]
    vectors: Matrix


def files() -> list[Path]:
    """The files that the input comes from."""
    scifact = data_folder() / "scifact"
    return [scifact / name for name in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv")]


def corpus() -> Corpus:
    """Return the documents of SciFact; `embedded` must have run."""
    records = _records(files()[0])
    texts = [f"{record['title']} {record['text']}" for record in records]
    return Corpus([record["_id"] for record in records], texts, np.load(_kept("documents.npy")))


def queries() -> Queries:
    """Return the test queries of SciFact; `embedded` must have run."""
    return Queries(_query_texts(), np.load(_kept("queries.npy")))


def given(asked: Queries) -> Encode:
    """An encoder that has the vectors of these queries, and so costs nothing."""
    rows = {text: asked.vectors[at : at + 1] for at, text in enumerate(asked.texts)}

    def encode(texts: Sequence[str]) -> Matrix:
        if len(texts) == 1:
            return rows[texts[0]]
        return np.concatenate([rows[text] for text in texts])

    return encode


def model() -> Encode:
    """Return the model itself, by sentence-transformers, from the package that carries it."""
    from sentence_transformers import SentenceTransformer

    from retriever.embedders.hub import locate_sentence_model

    place, _ = locate_sentence_model(MODEL)
    loaded: Any = SentenceTransformer(str(place), device="cpu", local_files_only=True)

    def encode(texts: Sequence[str]) -> Matrix:
        vectors: Matrix = loaded.encode(
            list(texts), normalize_embeddings=True, show_progress_bar=False
        )
        return vectors

    return encode


def embedded() -> dict[str, float]:
    """Return the model's seconds for all documents and queries; embeds them the first time."""
    facts, now = _kept("facts.json"), checksum(*files())
    if facts.is_file():
        known: dict[str, Any] = json.loads(facts.read_text())
        if known.pop("checksum") == now:
            return known
    encode = model()
    texts = [f"{record['title']} {record['text']}" for record in _records(files()[0])]
    encode(texts[:32])
    seconds = {}
    for name, some in (("documents", texts), ("queries", _query_texts())):
        started = time.perf_counter()
        vectors = encode(some)
        seconds[f"{name}_s"] = time.perf_counter() - started
        np.save(_kept(f"{name}.npy"), vectors)
    facts.write_text(json.dumps({**seconds, "checksum": now}))
    return seconds


def _query_texts() -> list[str]:
    judged = {line.split("\t")[0] for line in files()[2].read_text().splitlines()[1:]}
    return [record["text"] for record in _records(files()[1]) if record["_id"] in judged]


def _records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _kept(name: str) -> Path:
    folder = collection_folder("peers")
    folder.mkdir(exist_ok=True)
    return folder / name
