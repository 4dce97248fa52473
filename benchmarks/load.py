"""Latency of single queries on a busy machine: `python -m benchmarks.load`.

Needs RETRIEVER_DATA. Writes `results/load.json`. Each system answers in a process of its own; they
take turns, one query each, while no, one, and as many other processes as there are cores compute
without pause. Beside our indexes: sentence-transformers with FAISS by hand, and txtai where the
environment of `benchmarks/peers.txt` has it, over the same model.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np

from benchmarks.certificate import certificate, checksum, collection_folder, data_folder, save
from retriever.comparison.load import LoadMeter

QUERIES, WARM_UP = 60, 5
OURS = ("glove", "minilm", "bm25", "fused")
OTHERS = ("sentence-transformers + FAISS", "txtai")
BURN = "while True: pass"
LISTENING = 2.0  # seconds
PEERS = Path(__file__).parents[1] / ".cache" / "peers-venv" / "bin" / "python"
# Answers the queries that it is sent, one a line, with the seconds that each took.
CHILD = r"""
import json, os, sys, time
name, library, corpus = sys.argv[1:]
texts = [json.loads(line) for line in open(corpus)]
texts = [f"{row.get('title', '')} {row['text']}".strip() for row in texts]
if name == "txtai":
    from txtai import Embeddings
    model = Embeddings(path=os.environ["MODEL"], content=True)
    model.index(texts)
    answer = lambda text: model.search(text, 10)
elif name.startswith("sentence-transformers"):
    import faiss, numpy as np
    from sentence_transformers import SentenceTransformer
    model = SentenceTransformer(os.environ["MODEL"])
    index = faiss.IndexFlatIP(384)
    index.add(np.load(os.environ["VECTORS"]))
    def answer(text):
        rows = index.search(model.encode([text], normalize_embeddings=True), 10)[1][0]
        return [texts[row] for row in rows]
else:
    from retriever import Collection
    collection = Collection.open(library)
    answer = lambda text: collection.search(text, index=name)
print("ready", flush=True)
for line in sys.stdin:
    started = time.perf_counter()
    answer(json.loads(line))
    print(time.perf_counter() - started, flush=True)
"""


@contextlib.contextmanager
def burning(cores: int) -> Iterator[None]:
    """Keep some cores busy with other processes."""
    command = [sys.executable, "-c", BURN]
    running = [subprocess.Popen(command) for _ in range(cores)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


class Answering:
    """A system that answers in its own process."""

    def __init__(
        self, name: str, *arguments: str, python: str | Path = sys.executable, **environment: str
    ) -> None:
        self._process = subprocess.Popen(
            [str(python), "-c", CHILD, name, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        self.works = self._line() == "ready"

    def seconds(self, query: str) -> float:
        """Return how long one query takes."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(query) + "\n")
        self._process.stdin.flush()
        return float(self._line())

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def library_over(corpus: Path) -> Path:
    """Return a collection with our indexes; the first call embeds the corpus, for minutes."""
    from retriever import Collection, ContextualEmbedder, StaticEmbedder

    folder = collection_folder("load")
    with Collection.open_or_create(folder) as library:
        library.add(corpus)
        library.build("glove", StaticEmbedder("glove-6b-50d"))
        library.build("minilm", ContextualEmbedder("all-MiniLM-L6-v2"))
        library.build("bm25", lexical=True)
        library.fuse("fused", ["bm25", "minilm"])
    return folder


def spread(seconds: list[float]) -> dict[str, float]:
    """Return p50 and p95 in milliseconds."""
    p50, p95 = np.percentile(seconds, [50, 95])
    return {"p50_ms": round(1000 * float(p50), 3), "p95_ms": round(1000 * float(p95), 3)}


def measured(systems: dict[str, Answering], queries: list[str]) -> dict[str, Any]:
    """Return p50 and p95 of each system by the number of busy cores.

    `others` are the cores on which other processes computed before that.
    """
    found: dict[str, Any] = {name: {} for name in (*systems, "others")}
    for busy in sorted({0, 1, len(os.sched_getaffinity(0))}):
        with LoadMeter() as meter:
            sleep(LISTENING)
        found["others"][f"{busy} busy"] = round(meter.load.others, 2)
        with burning(busy):
            taken: dict[str, list[float]] = {name: [] for name in systems}
            for number, query in enumerate(queries):
                for name, system in systems.items():
                    seconds = system.seconds(query)
                    if number >= WARM_UP:
                        taken[name].append(seconds)
        for name, seconds_of_one in taken.items():
            found[name][f"{busy} busy"] = spread(seconds_of_one)
    for by_load in (found[name] for name in systems):
        idle, *loaded = (by_load[key]["p50_ms"] for key in by_load)
        by_load["p50_to_idle"] = [round(value / idle, 2) for value in loaded]
    return found


def main() -> None:
    """Measure, print and save."""
    from retriever import read_queries
    from retriever.embedders.hub import locate_sentence_model

    data = data_folder() / "cranfield"
    corpus, queries_file = data / "corpus.jsonl", data / "queries.jsonl"
    library = library_over(corpus)
    queries = list(read_queries(queries_file).values())[: QUERIES + WARM_UP]
    model = str(locate_sentence_model("all-MiniLM-L6-v2")[0])
    with tempfile.TemporaryDirectory() as folder:
        vectors = f"{folder}/vectors.npy"
        # The speed of a search does not depend on the vectors' values.
        rows = sum(1 for _ in corpus.open())
        np.save(vectors, np.random.default_rng(0).standard_normal((rows, 384)).astype(np.float32))
        systems = {
            name: Answering(
                name,
                *(str(library), str(corpus)),
                python=PEERS if name == "txtai" and PEERS.exists() else sys.executable,
                **{"MODEL": model, "VECTORS": vectors},
            )
            for name in (*OURS, *OTHERS)
        }
        try:
            result = measured({n: s for n, s in systems.items() if s.works}, queries)
        finally:
            for system in systems.values():
                system.close()
    result["certificate"] = certificate(
        data="Cranfield", data_checksum=checksum(corpus, queries_file), queries=QUERIES
    )
    print(json.dumps(result, indent=1))
    save("load", result)


if __name__ == "__main__":
    main()
