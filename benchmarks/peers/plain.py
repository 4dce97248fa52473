"""Without a library: a flat FAISS index, and a file of JSON lines next to it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from benchmarks.peers.material import Corpus, Encode, Matrix
from benchmarks.peers.system import Found, System

__all__ = ["Plain"]


class Plain(System):
    """`IndexFlatIP`; row numbers lead into a list of documents."""

    name = "FAISS by hand"
    package = "faiss-cpu"
    how = "exact; texts in memory"

    def build(self, folder: Path, corpus: Corpus) -> None:
        folder.mkdir()
        index = faiss.IndexFlatIP(corpus.vectors.shape[1])
        index.add(corpus.vectors)
        faiss.write_index(index, str(folder / "index.faiss"))
        with (folder / "documents.jsonl").open("w") as file:
            for number, (doc_id, text) in enumerate(zip(corpus.doc_ids, corpus.texts, strict=True)):
                record = {"doc_id": doc_id, "text": text, "number": number}
                file.write(json.dumps(record, ensure_ascii=False) + "\n")

    def open(self, folder: Path, encode: Encode) -> None:
        self.encode = encode
        self.index: Any = faiss.read_index(str(folder / "index.faiss"))
        with (folder / "documents.jsonl").open() as file:
            self.documents = [json.loads(line) for line in file]

    def search_one(self, text: str, k: int) -> Any:
        return self._answers(self.encode([text]), k)[0]

    def search_batch(self, texts: Sequence[str], k: int) -> Any:
        return self._answers(self.encode(texts), k)

    def _answers(self, vectors: Matrix, k: int) -> list[list[tuple[dict[str, Any], float]]]:
        scores, rows = self.index.search(np.ascontiguousarray(vectors), k)
        return [
            [(self.documents[row], score) for row, score in zip(*pair, strict=True)]
            for pair in zip(rows.tolist(), scores.tolist(), strict=True)
        ]

    def read_one(self, answer: Any) -> list[Found]:
        return [(document["doc_id"], document["text"], score) for document, score in answer]

    def close(self) -> None:
        del self.index, self.documents
