"""Fixtures of the command line: a folder with a corpus, and collections of it."""

from pathlib import Path

import pytest

from tests.support.commands import succeed

CORPUS = """\
{"_id": "cat", "text": "A kitten purrs when it is content.", "year": 2021, "source": "web"}
{"_id": "car", "title": "Engines", "text": "The engine idles with a soft rumble.", "year": 1999}
{"_id": "tax", "text": "The filing deadline is the end of April.", "year": 2024}
"""


@pytest.fixture(autouse=True)
def corpus(tmp_path, monkeypatch):
    """Three documents, as `corpus.jsonl` of a fresh working folder with queries and judgments."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENSIM_DATA_DIR", "no-gensim-data")
    Path("corpus.jsonl").write_text(CORPUS)
    Path("queries.jsonl").write_text(
        '{"_id": "q1", "text": "a kitten purrs"}\n{"_id": "q2", "text": "filing deadline"}\n'
    )
    Path("qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq1\tcat\t1\nq2\ttax\t2\nq2\tcar\t0\n")
    return CORPUS


@pytest.fixture
def library():
    """A collection `library` of three documents with an index `floor`."""
    succeed("add", "library", "corpus.jsonl")
    succeed("build", "library", "floor", "--embedder", "hashing")
    return "library"


@pytest.fixture
def two(library):
    """The collection `library` with the index `floor` and a graph over its vectors."""
    succeed("build", library, "graph", "--vectors", "floor", "--ann", "HNSW16")
    return library
