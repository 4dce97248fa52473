"""The collections on which distillation is measured, whole and cut, and their teacher."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.quality import CRANFIELD, SCIFACT, Data
from benchmarks.weightings import ADI
from indexes.document import Document
from retriever import ContextualEmbedder
from retriever.embedders.base import Matrix, TextReport
from retriever.formats import read_documents, read_qrels, read_queries

BINARY = "qrels/test.tsv"
ARXIV = Data("arxiv-100k", BINARY, "arXiv abstracts, titles as queries")
SEEDS = (1, 2, 3)
TEACHER = "all-MiniLM-L6-v2"
AT_ONCE = 128


@dataclass(frozen=True)
class Task:
    """A collection to distill on: its name, the source of its documents, how it is cut.

    With `only_judged`, there are that many documents, all judged ones included. `asked` limits the
    queries. Without `titles`, documents have none: for queries that are titles.
    """

    name: str
    label: str
    data: Data
    only_judged: int | None = None
    asked: int | None = None
    titles: bool = True

    def documents(self) -> list[Document]:
        """Return the documents."""
        corpus = self.data.file("corpus.jsonl")
        records = read_documents(corpus if corpus.exists() else f"{corpus}.gz")
        documents = [record for record in records if isinstance(record, Document)]
        if not self.titles:
            documents = [Document(one.doc_id, one.text) for one in documents]
        if self.only_judged is None:
            return documents
        judged = {doc_id for grades in self.qrels().values() for doc_id in grades}
        others = [one.doc_id for one in documents if one.doc_id not in judged]
        chosen = judged | set(random.Random(7).sample(others, self.only_judged - len(judged)))
        return [one for one in documents if one.doc_id in chosen]

    def queries(self) -> dict[str, str]:
        """Return the judged queries."""
        judged = self.qrels()
        queries = read_queries(self.data.file("queries.jsonl"))
        return {key: text for key, text in queries.items() if key in judged}

    def qrels(self) -> dict[str, dict[str, int]]:
        """Return the judgments, relevant or not."""
        qrels = read_qrels(self.data.file(BINARY))
        return {key: qrels[key] for key in sorted(qrels)[: self.asked]}


TASKS = (
    Task("adi", "ADI, 82 documents", ADI),
    Task("cranfield", "Cranfield", CRANFIELD),
    Task("scifact", "SciFact", SCIFACT),
    Task("arxiv-5000", "arXiv, 5,000 documents", ARXIV, only_judged=5_000, titles=False),
    Task("scifact-1000", "SciFact, 1,000 documents", SCIFACT, only_judged=1_000),
    Task("arxiv-1000", "arXiv, 1,000 documents", ARXIV, 1_000, asked=300, titles=False),
)


class Remembering(ContextualEmbedder):
    """MiniLM, with the vectors of what it has read kept in a database of one table.

    It has no prompts, so a text has one vector, as a document and as a query.
    """

    kept: sqlite3.Connection

    @classmethod
    def of(cls, path: Path) -> Remembering:
        """Return it with what is in the database."""
        embedder = cls(TEACHER)
        embedder.kept = sqlite3.connect(path, check_same_thread=False)
        embedder.kept.execute("CREATE TABLE IF NOT EXISTS read (text TEXT PRIMARY KEY, vector)")
        return embedder

    def for_documents(self) -> Remembering:
        """Return itself."""
        return self

    def encode_and_report(self, texts: Sequence[str]) -> tuple[Matrix, TextReport]:
        """Return the vectors of documents, computed once for each, and counts."""
        return self.encode_queries(texts), self.report_queries(texts)

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        """Return the vectors of texts, computed once for each."""
        found = dict[str, bytes]()
        for text in dict.fromkeys(texts):
            row = self.kept.execute("SELECT vector FROM read WHERE text = ?", (text,)).fetchone()
            if row:
                found[text] = row[0]
        new = [text for text in dict.fromkeys(texts) if text not in found]
        for first in range(0, len(new), AT_ONCE):
            some = new[first : first + AT_ONCE]
            vectors = map(np.ndarray.tobytes, super().encode_queries(some))
            rows = list(zip(some, vectors, strict=True))
            with self.kept:
                self.kept.executemany("INSERT INTO read VALUES (?, ?)", rows)
            found.update(rows)
        joined = b"".join(found[text] for text in texts)
        return np.frombuffer(joined, np.float32).reshape(len(texts), self.dim).copy()
