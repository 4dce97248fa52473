"""LangChain's FAISS store, saved to a folder and loaded again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from langchain_community.vectorstores import FAISS
from langchain_community.vectorstores.utils import DistanceStrategy
from langchain_core.embeddings import Embeddings

from benchmarks.peers.material import Corpus, Encode
from benchmarks.peers.system import Found, System

__all__ = ["LangChain"]


class Encoding(Embeddings):  # type: ignore[misc]
    """An encoder with LangChain's interface."""

    def __init__(self, encode: Encode) -> None:
        self.encode = encode

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self.encode(texts).tolist()
        return vectors

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


class LangChain(System):
    """A flat FAISS index, and the documents in a pickle."""

    name = "LangChain, FAISS"
    package = "langchain-community"
    how = "exact; texts in memory"

    def build(self, folder: Path, corpus: Corpus) -> None:
        store = FAISS.from_embeddings(
            zip(corpus.texts, corpus.vectors, strict=True),
            Encoding(lambda _: corpus.vectors),
            metadatas=[{"number": number} for number in range(len(corpus.texts))],
            ids=corpus.doc_ids,
            distance_strategy=DistanceStrategy.MAX_INNER_PRODUCT,
        )
        store.save_local(str(folder))

    def open(self, folder: Path, encode: Encode) -> None:
        self.store: Any = FAISS.load_local(
            str(folder),
            Encoding(encode),
            allow_dangerous_deserialization=True,
            distance_strategy=DistanceStrategy.MAX_INNER_PRODUCT,
        )

    def search_one(self, text: str, k: int) -> Any:
        return self.store.similarity_search_with_score(text, k)

    def read_one(self, answer: Any) -> list[Found]:
        return [(document.id, document.page_content, float(score)) for document, score in answer]

    def close(self) -> None:
        del self.store
