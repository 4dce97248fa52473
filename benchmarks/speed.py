"""The speed of the parts, as ratios side by side: `python -m benchmarks.speed`.

Needs RETRIEVER_DATA. Writes `results/speed.json`. Both sides of a ratio run in this process, taking
turns, with the same threads; each figure is the median of several repeats with its spread.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from benchmarks.certificate import (
    certificate,
    checksum,
    collection_folder,
    data_folder,
    repeated,
    save,
    summary,
)
from indexes.vectors import exact
from indexes.vectors.blocks import Block
from retriever import Collection, Document, HashingEmbedder, StaticEmbedder, read_queries
from retriever.embedders.word_vectors.vectors import WordVectors

REPEATS = 7
OPENING = """
import sys, time
import indexes.vectors.faiss_engine.index, numpy, pyarrow.compute, scipy.sparse
import retriever.collection, retriever.embedders.static.embedder
import retriever.embedders.word_vectors.vectors, indexes.text.words
import retriever.embedders.static.pooling
started = time.perf_counter()
library = retriever.collection.Collection.open(sys.argv[1])
hits = library.search("vitamin D deficiency", index="glove", k=10)
print(time.perf_counter() - started)
sys.exit(len(hits) != 10)
"""


def opening(folder: Path) -> dict[str, float]:
    """Time imported modules to the first static query's hits, each in a fresh process."""
    command = [sys.executable, "-c", OPENING, str(folder)]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(8)]
    return summary([float(run.stdout) for run in runs[1:]])


def adding(documents: list[Document]) -> dict[str, dict[str, float]]:
    """Time adding a corpus to a new collection, and adding the same again."""
    first, again = [], []
    for _ in range(REPEATS):
        with tempfile.TemporaryDirectory() as folder, Collection.create(f"{folder}/c") as library:
            first.append(repeated(lambda: library.add(documents), repeats=1, warm_up=0)["median"])
            again.append(repeated(lambda: library.add(documents), repeats=1, warm_up=0)["median"])
    return {"first": summary(first), "unchanged": summary(again)}


def gensim_means(words: WordVectors, texts: list[str]) -> Callable[[], Any]:
    """Return gensim's `get_mean_vector` over texts, one by one, their words split in advance."""
    from gensim.models import KeyedVectors

    from indexes.text.words import split

    keyed = KeyedVectors(words.dim)
    keyed.add_vectors(list(words), np.asarray(words.vectors))
    tokens = split(texts, lower=True)
    lists = [tokens.of(text) for text in range(len(texts))]
    return lambda: np.array([keyed.get_mean_vector(text, pre_normalize=False) for text in lists])


def static_encoding(texts: list[str]) -> dict[str, Any]:
    """Time averaging GloVe: ours against gensim's `get_mean_vector` over the same words."""
    embedder = StaticEmbedder("glove-6b-50d")
    gensim_loop = gensim_means(embedder.words, texts)
    ours = repeated(lambda: embedder.encode_documents(texts), repeats=REPEATS)
    theirs = repeated(gensim_loop, repeats=3)
    return {
        "ours_documents_per_second": len(texts) / ours["median"],
        "gensim_documents_per_second_without_tokenizing": len(texts) / theirs["median"],
        "ratio": theirs["median"] / ours["median"],
        "ours_s": ours,
        "gensim_s": theirs,
    }


def exact_search(vectors: Any, queries: Any) -> dict[str, Any]:
    """Time our brute force (exact scores, ordered ties) against FAISS's flat index."""
    block = [Block(np.arange(len(vectors)), vectors)]
    flat = faiss.IndexFlatIP(vectors.shape[1])
    flat.add(np.ascontiguousarray(vectors))
    result: dict[str, Any] = {}
    for count in (1, len(queries)):
        some = queries[:count]
        ours = repeated(partial(exact.search, some, block, 10), repeats=51, warm_up=5)
        theirs = repeated(partial(flat.search, some, 10), repeats=51, warm_up=5)
        result[f"{count} queries"] = {
            "ours_ms": 1000 * ours["median"],
            "faiss_ms": 1000 * theirs["median"],
            "ratio": ours["median"] / theirs["median"],
        }
    return result


def _matrices(texts: list[str], queries: list[str]) -> Iterator[tuple[int, Any, Any]]:
    """Yield unit vectors of documents and queries, 50 and 384 wide (only their shape matters)."""
    for width, embedder in ((50, StaticEmbedder("glove-6b-50d")), (384, HashingEmbedder(384))):
        yield width, embedder.encode_documents(texts), embedder.encode_queries(queries)


def static_query(library: Collection, texts: list[str]) -> dict[str, float]:
    """Time one warm static query with its text, and its three stages, in ms (p50)."""
    retriever = library.retriever("glove")
    timings = [retriever.answer([text], 10)[1] for text in texts for _ in range(3)]
    parts = np.array([(t.encoding, t.searching, t.fetching, t.total) for t in timings]) * 1000
    return dict(
        zip(
            ("encoding_ms", "searching_ms", "fetching_ms", "total_ms"),
            np.median(parts, axis=0).tolist(),
            strict=True,
        )
    )


def main() -> None:
    """Measure everything, print it, save it."""
    data = data_folder() / "scifact"
    folder = collection_folder("scifact")
    with Collection.open_or_create(folder) as library:
        library.add(data / "corpus.jsonl")
        library.build("glove", StaticEmbedder("glove-6b-50d"))
        documents = list(library.documents())
        texts = [f"{d.title} {d.text}" for d in documents]
        queries = list(read_queries(data / "queries.jsonl").values())[:300]
        result = {
            "open_to_first_static_query_s": opening(folder),
            "add_5183_documents_s": adding(documents),
            "static_encoding": static_encoding(texts),
            "exact_search": {
                f"{width} wide": exact_search(vectors, asked)
                for width, vectors, asked in _matrices(texts, queries)
            },
            "one_static_query": static_query(library, queries),
        }
    print(json.dumps(result, indent=2))
    facts = {
        "data": "BEIR SciFact, 5,183 documents",
        "data_checksum": checksum(data / "corpus.jsonl", data / "queries.jsonl"),
        "command": "python -m benchmarks.speed",
        "repeats": REPEATS,
    }
    save("speed", {"certificate": certificate(**facts), **result})


if __name__ == "__main__":
    main()
