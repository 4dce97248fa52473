"""The vectors of `benchmarks.ann`: GloVe words, and arXiv abstracts under a static table."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.certificate import checksum, collection_folder, data_folder

Matrix = NDArray[np.float32]

QUERIES = 1000
TABLE = "wordllama"


@dataclass(frozen=True)
class Vectors:
    """Unit vectors of documents (n, dim) and queries (m, dim), none of zeros, with their texts.

    `checksum` is that of the files they come from.
    """

    texts: Sequence[str]
    documents: Matrix
    asked: Sequence[str]
    queries: Matrix
    checksum: str


def glove() -> Vectors:
    """Return GloVe 6B 50d; 1,000 words, drawn at random, are left out and are the queries."""
    from retriever.embedders.hub import locate_words
    from retriever.embedders.word_vectors.vectors import load_words

    place = locate_words("glove-6b-50d")
    words = load_words(place)
    names, rows = words.names, np.arange(len(words))
    asked = np.sort(np.random.default_rng(0).choice(rows, QUERIES, replace=False))
    kept = np.delete(rows, asked)
    table = np.asarray(words.vectors, np.float32)
    files = sorted(path for path in place.iterdir() if path.is_file())
    return Vectors(
        [names[row] for row in kept.tolist()],
        _unit(table[kept]),
        [names[row] for row in asked.tolist()],
        _unit(table[asked]),
        checksum(*files),
    )


def arxiv() -> Vectors:
    """Return 100,000 arXiv abstracts, without titles, and 1,000 titles as queries, 256 wide.

    A text is the mean of its tokens' rows in wordllama's table, which a package carries.
    """
    from retriever import StaticEmbedder

    table = wordllama_table(collection_folder(TABLE))
    folder = data_folder() / "arxiv-100k"
    corpus, queries = folder / "corpus.jsonl.gz", folder / "queries.jsonl"
    with gzip.open(corpus, "rt") as lines:
        texts = _texts(lines)
    asked = _texts(queries.read_text().splitlines())
    embedder = StaticEmbedder(table)
    documents, titles = embedder.encode_documents(texts), embedder.encode_queries(asked)
    known, asking = np.flatnonzero(documents.any(axis=1)), np.flatnonzero(titles.any(axis=1))
    return Vectors(
        [texts[row] for row in known.tolist()],
        _unit(documents[known]),
        [asked[row] for row in asking.tolist()],
        _unit(titles[asking]),
        checksum(corpus, queries, table / "model.safetensors"),
    )


SETS = {"glove": glove, "arxiv": arxiv}


def vectors(name: str) -> Vectors:
    """Return a set of vectors by its name; what the first call made is kept in `.cache/`."""
    folder = collection_folder("ann") / name
    documents, queries, facts = (
        folder / part for part in ("documents.npy", "queries.npy", "facts")
    )
    if not facts.exists():
        made = SETS[name]()
        folder.mkdir(parents=True, exist_ok=True)
        np.save(documents, made.documents)
        np.save(queries, made.queries)
        facts.write_text(json.dumps([made.texts, made.asked, made.checksum]))
    texts, asked, known = json.loads(facts.read_text())
    return Vectors(texts, np.load(documents), asked, np.load(queries), known)


def wordllama_table(folder: Path) -> Path:
    """Return a folder with the files of wordllama's table under the names of a static model."""
    endings = {
        "model.safetensors": "_256.safetensors",
        "tokenizer.json": "supercat_tokenizer_config.json",
    }
    folder.mkdir(parents=True, exist_ok=True)
    files = metadata.files(TABLE) or []
    for name, ending in endings.items():
        found = next(file for file in files if file.name.endswith(ending))
        shutil.copyfile(str(found.locate()), folder / name)
    return folder


def _texts(lines: Iterable[str]) -> list[str]:
    return [json.loads(line)["text"] for line in lines]


def _unit(vectors: Matrix) -> Matrix:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors / lengths, np.float32)
