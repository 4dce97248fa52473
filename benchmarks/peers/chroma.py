"""Chroma's persistent client, with vectors given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import chromadb
from chromadb.config import Settings

from benchmarks.peers.material import Corpus, Encode, Matrix
from benchmarks.peers.system import Found, System

__all__ = ["Chroma"]


class Chroma(System):
    """One collection by cosine."""

    name = "Chroma"
    package = "chromadb"
    how = "HNSW in memory; texts in SQLite"

    def build(self, folder: Path, corpus: Corpus) -> None:
        client = _client(folder)
        collection = client.create_collection(
            "documents", embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
        )
        step = client.get_max_batch_size()
        for start in range(0, len(corpus.texts), step):
            some = range(start, min(start + step, len(corpus.texts)))
            collection.add(
                ids=corpus.doc_ids[start : some.stop],
                documents=corpus.texts[start : some.stop],
                embeddings=corpus.vectors[start : some.stop],
                metadatas=[{"number": number} for number in some],
            )
        client.close()

    def open(self, folder: Path, encode: Encode) -> None:
        self.encode, self.client = encode, _client(folder)
        self.collection = self.client.get_collection("documents", embedding_function=None)

    def search_one(self, text: str, k: int) -> Any:
        return self._answer(self.encode([text]), k)

    def search_batch(self, texts: Sequence[str], k: int) -> Any:
        return self._answer(self.encode(texts), k)

    def _answer(self, vectors: Matrix, k: int) -> Any:
        return self.collection.query(
            query_embeddings=vectors, n_results=k, include=["documents", "distances"]
        )

    def read_one(self, answer: Any) -> list[Found]:
        return self.read_batch(answer)[0]

    def read_batch(self, answers: Any) -> list[list[Found]]:
        return [
            [(doc_id, text, 1 - distance) for doc_id, text, distance in zip(*one, strict=True)]
            for one in zip(answers["ids"], answers["documents"], answers["distances"], strict=True)
        ]

    def close(self) -> None:
        self.client.close()


def _client(folder: Path) -> Any:
    return chromadb.PersistentClient(str(folder), settings=Settings(anonymized_telemetry=False))
