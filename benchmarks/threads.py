"""Eight threads that ask one collection: `python -m benchmarks.threads`.

Queries a second of one thread and of eight, in turns, by kind of query, and how many cores each
kept busy. Needs RETRIEVER_DATA. Writes `results/threads.json`. The first run indexes 100,000
abstracts, and embeds 500 by MiniLM; the collections are kept in `.cache/`.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle, islice
from typing import Any

from benchmarks.certificate import certificate, checksum, collection_folder, data_folder, save

THREADS = 8
ROUNDS = 5
# What is asked in a turn of each kind, by name.
QUERIES = {
    "static, 5,183 documents": 2000,
    "contextual": 200,
    "bm25, 100,000 documents": 400,
    "exact, 100,000 vectors of 256 numbers": 60,
    "automatic structure, 100,000 vectors of 256 numbers": 500,
    "bm25 and exact fused, 100,000 documents": 60,
}
Search = Callable[[str], object]


def searches() -> list[Search]:
    """Return a search for each of `QUERIES`, over collections that the first call builds."""
    from retriever import Collection, ContextualEmbedder, HashingEmbedder, StaticEmbedder

    data = data_folder()
    small, large, few = (
        Collection.open_or_create(collection_folder(f"threads-{name}"))
        for name in ("small", "large", "few")
    )
    small.add(data / "scifact" / "corpus.jsonl")
    small.build("static", StaticEmbedder("glove-6b-50d"))
    few.add(islice(small.documents(), 500))
    few.build("contextual", ContextualEmbedder("all-MiniLM-L6-v2"))
    large.add(data / "arxiv-100k" / "corpus.jsonl.gz")
    large.build("bm25", lexical=True)
    large.build("exact", HashingEmbedder(dim=256), ann="exact")
    large.build("auto", HashingEmbedder(dim=256))
    large.fuse("fused", ["bm25", "exact"])
    return [
        partial(library.search, index=index)
        for library, index in (
            (small, "static"),
            (few, "contextual"),
            (large, "bm25"),
            (large, "exact"),
            (large, "auto"),
            (large, "fused"),
        )
    ]


def rate(search: Search, texts: Sequence[str], threads: int) -> dict[str, float]:
    """Return queries a second of some threads, and how many cores these kept busy."""
    waiting = iter(texts)

    def work() -> None:
        for text in waiting:  # each goes to one of the threads
            search(text)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    started, used = time.perf_counter(), time.process_time()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    seconds = time.perf_counter() - started
    cores = (time.process_time() - used) / seconds
    return {"queries_per_second": len(texts) / seconds, "cores": cores}


def in_turns(search: Search, texts: Sequence[str]) -> dict[str, Any]:
    """Return the rates of one thread and of eight, round by round, and the median of the ratios."""
    for text in texts[:50]:
        search(text)
    rounds = [{n: rate(search, texts, n) for n in (1, THREADS)} for _ in range(ROUNDS)]
    ratios = sorted(
        one[THREADS]["queries_per_second"] / one[1]["queries_per_second"] for one in rounds
    )
    return {
        "ratio": {"median": ratios[ROUNDS // 2], "least": ratios[0], "most": ratios[-1]},
        "rounds": rounds,
    }


def main() -> None:
    """Measure, print and save."""
    from retriever import read_queries

    data = data_folder()
    files = [data / name / "queries.jsonl" for name in ("scifact", "arxiv-100k")]
    scifact, arxiv = (list(read_queries(file).values()) for file in files)
    result: dict[str, Any] = {}
    for (kind, count), search in zip(QUERIES.items(), searches(), strict=True):
        texts = islice(cycle(arxiv if "100,000" in kind else scifact), count)
        result[kind] = in_turns(search, list(texts))
        print(kind, json.dumps(result[kind]["ratio"]), flush=True)
    facts = {"data": "BEIR SciFact, arXiv abstracts", "data_checksum": checksum(*files)}
    save("threads", {"certificate": certificate(**facts, rounds=ROUNDS), **result})


if __name__ == "__main__":
    main()
