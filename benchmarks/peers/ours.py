"""Retriever itself, through its public API."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.material import MODEL, Corpus, Encode, Matrix
from benchmarks.peers.system import Found, System
from retriever import Collection, Document

__all__ = ["Retriever", "RetrieverHNSW"]


class Given:
    """A user's embedder: vectors of documents are given, those of queries encoded."""

    name = MODEL
    dim = 384
    fingerprint = f'{{"given":"{MODEL}"}}'

    def __init__(self, encode: Encode) -> None:
        self.encode_documents = self.encode_queries = encode


class Retriever(System):
    """A collection with one exact index."""

    name = "Retriever"
    package = "retriever-compare"
    how = "exact; texts in SQLite, vectors mapped"
    index = "minilm"

    def build(self, folder: Path, corpus: Corpus) -> None:
        rows = dict(zip(corpus.texts, corpus.vectors, strict=True))

        def encode(texts: Sequence[str]) -> Matrix:
            return np.stack([rows[text] for text in texts])

        with Collection.create(folder) as library:
            library.add(
                Document(doc_id, text, metadata={"number": number})
                for number, (doc_id, text) in enumerate(
                    zip(corpus.doc_ids, corpus.texts, strict=True)
                )
            )
            library.build("minilm", Given(encode))

    def open(self, folder: Path, encode: Encode) -> None:
        self.library = Collection.open(folder)
        self.library.use(self.index, Given(encode))
        self.retriever = self.library.retriever(self.index)

    def search_one(self, text: str, k: int) -> Any:
        return self.retriever.search(text, k)

    def search_batch(self, texts: Sequence[str], k: int) -> Any:
        return self.retriever.search_many(texts, k)

    def read_one(self, answer: Any) -> list[Found]:
        return [(hit.doc_id, hit.text, hit.score) for hit in answer]

    def close(self) -> None:
        self.library.close()


class RetrieverHNSW(Retriever):
    """The same with an ANN index, as one would use over a large corpus."""

    name = "Retriever, HNSW"
    how = "HNSW in memory, exact scores; texts in SQLite, vectors mapped"
    index = "hnsw"

    def build(self, folder: Path, corpus: Corpus) -> None:
        super().build(folder, corpus)
        with Collection.open(folder) as library:
            library.build(self.index, vectors="minilm", ann="HNSW32")
