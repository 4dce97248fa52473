"""LanceDB: one table; without an index it searches exactly."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import lancedb
import pyarrow as pa

from benchmarks.peers.material import Corpus, Encode
from benchmarks.peers.system import Found, System

__all__ = ["LanceDB"]


class LanceDB(System):
    """A table of ids, texts, numbers and vectors."""

    name = "LanceDB"
    package = "lancedb"
    how = "exact; one table on disk"

    def build(self, folder: Path, corpus: Corpus) -> None:
        count, dim = corpus.vectors.shape
        table = pa.table(
            {
                "doc_id": corpus.doc_ids,
                "text": corpus.texts,
                "number": range(count),
                "vector": pa.FixedSizeListArray.from_arrays(pa.array(corpus.vectors.ravel()), dim),
            }
        )
        lancedb.connect(str(folder)).create_table("documents", table)

    def open(self, folder: Path, encode: Encode) -> None:
        self.encode = encode
        self.table: Any = lancedb.connect(str(folder)).open_table("documents")

    def search_one(self, text: str, k: int) -> Any:
        return self._answer(self.encode([text])[0], k)

    def search_batch(self, texts: Sequence[str], k: int) -> Any:
        return self._answer(self.encode(texts), k)

    def _answer(self, vectors: Any, k: int) -> Any:
        search = self.table.search(vectors).distance_type("cosine").limit(k)
        return search.select(["doc_id", "text", "_distance"]).to_list()

    def read_one(self, answer: Any) -> list[Found]:
        return [(row["doc_id"], row["text"], 1 - row["_distance"]) for row in answer]

    def read_batch(self, answers: Any) -> list[list[Found]]:
        return [self.read_one(rows) for _, rows in groupby(answers, lambda row: row["query_index"])]

    def close(self) -> None:
        del self.table
