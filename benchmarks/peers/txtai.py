"""txtai: an embeddings database with its content, and vectors from outside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from txtai import Embeddings

from benchmarks.peers.material import Corpus, Encode
from benchmarks.peers.system import Found, System

__all__ = ["Txtai"]


class Txtai(System):
    """Over 5,000 documents txtai chooses an inverted file (IVF) by itself, which is approximate."""

    name = "txtai"
    package = "txtai"
    how = "FAISS IVF in memory; texts in SQLite"

    def build(self, folder: Path, corpus: Corpus) -> None:
        rows = dict(zip(corpus.texts, corpus.vectors, strict=True))
        transform = _function(lambda texts: [rows[text] for text in texts])
        embeddings = Embeddings(method="external", transform=transform, content=True)
        embeddings.index(
            (doc_id, {"text": text, "number": number}, None)
            for number, (doc_id, text) in enumerate(zip(corpus.doc_ids, corpus.texts, strict=True))
        )
        embeddings.save(str(folder))
        embeddings.close()

    def open(self, folder: Path, encode: Encode) -> None:
        self.embeddings = Embeddings()
        config = {"method": "external", "transform": _function(encode)}
        self.embeddings.load(str(folder), config=config)

    def search_one(self, text: str, k: int) -> Any:
        return self.embeddings.search(text, k)

    def search_batch(self, texts: Sequence[str], k: int) -> Any:
        return self.embeddings.batchsearch(texts, k)

    def read_one(self, answer: Any) -> list[Found]:
        return [(row["id"], row["text"], row["score"]) for row in answer]

    def close(self) -> None:
        self.embeddings.close()


def _function(encode: Any) -> Any:
    """Return a function: txtai wraps any other callable in an object first."""

    def transform(texts: Any) -> Any:
        return encode(texts)

    return transform
