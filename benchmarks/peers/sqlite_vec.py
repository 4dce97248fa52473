"""sqlite-vec: a virtual table of vectors, joined with a table of documents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pysqlite3
import sqlite_vec

from benchmarks.peers.material import Corpus, Encode
from benchmarks.peers.system import Found, System

__all__ = ["SqliteVec"]

SCHEMA = """
    CREATE TABLE documents (number INTEGER PRIMARY KEY, doc_id TEXT UNIQUE, text TEXT);
    CREATE VIRTUAL TABLE vectors USING vec0(embedding float[384] distance_metric=cosine);
"""
SEARCH = """
    SELECT doc_id, text, distance FROM vectors JOIN documents ON number = vectors.rowid
    WHERE embedding MATCH ? AND k = ? ORDER BY distance
"""


class SqliteVec(System):
    """Everything in one SQLite file."""

    name = "sqlite-vec"
    package = "sqlite-vec"
    how = "exact; one SQLite file"

    def build(self, folder: Path, corpus: Corpus) -> None:
        folder.mkdir()
        database = _connect(folder)
        database.executescript(SCHEMA)
        with database:
            database.executemany(
                "INSERT INTO documents VALUES (?, ?, ?)",
                zip(range(len(corpus.texts)), corpus.doc_ids, corpus.texts, strict=True),
            )
            database.executemany(
                "INSERT INTO vectors (rowid, embedding) VALUES (?, ?)", enumerate(corpus.vectors)
            )
        database.close()

    def open(self, folder: Path, encode: Encode) -> None:
        self.encode, self.database = encode, _connect(folder)

    def search_one(self, text: str, k: int) -> Any:
        return self.database.execute(SEARCH, [self.encode([text])[0], k]).fetchall()

    def read_one(self, answer: Any) -> list[Found]:
        return [(doc_id, text, 1 - distance) for doc_id, text, distance in answer]

    def close(self) -> None:
        self.database.close()


def _connect(folder: Path) -> Any:
    database = pysqlite3.connect(str(folder / "documents.db"))
    database.enable_load_extension(True)
    sqlite_vec.load(database)
    database.enable_load_extension(False)
    return database
