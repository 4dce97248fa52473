"""Filters on an index on Milvus: `python -m benchmarks.remote_filters http://127.0.0.1:19530`.

Times one query over random vectors under filters that leave from a thousandth to nine tenths of the
documents: as is chosen, evaluated by the server, sent to it as keys, and searched exactly here.
`first` is with a filter that was not used before, `again` with the same one. MILVUS_TOKEN is
`user:password`; `--rows` is the number of documents. Writes `results/remote_filters.json`.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.certificate import certificate, save, summary
from indexes.search import prefilter, vector_searcher
from indexes.vectors.remote.index import RemoteIndex
from retriever import Collection, Document, HashingEmbedder

ROWS, DIM, WORDS, REPEATS, K = 100_000, 64, 5_000, 9, 10
SHARES = (0.001, 0.01, 0.1, 0.5, 0.9)
INDEX, EXACT = "served", "exact"


def documents(rows: int) -> Iterator[Document]:
    """Yield documents of random words, with metadata as abstracts have them."""
    random = np.random.default_rng(0)
    for number, words in enumerate(random.integers(0, WORDS, (rows, 12)).tolist()):
        metadata = {
            "n": number * 7919 % rows,
            "tags": [f"t{number % 7}", f"u{number % 11}"],
            "date": f"20{number % 25:02}-0{number % 9 + 1}-10",
            "author": {"name": f"name {number % 997}"},
        }
        yield Document(str(number), " ".join(f"w{word}" for word in words), metadata=metadata)


@contextlib.contextmanager
def asking() -> Iterator[None]:
    """Ask the server, whatever would be chosen."""
    with (
        mock.patch.object(vector_searcher, "FOUND_HERE", 0),
        mock.patch.object(prefilter, "_is_few", lambda count, *_: count == 0),
    ):
        yield


@contextlib.contextmanager
def by_keys() -> Iterator[None]:
    """Send filters as lists of keys, also of few."""
    with asking(), mock.patch.object(RemoteIndex, "pushed", return_value=None):
        yield


WAYS: dict[str, tuple[str, Callable[[], contextlib.AbstractContextManager[None]]]] = {
    "as chosen": (INDEX, contextlib.nullcontext),
    "evaluated there": (INDEX, asking),
    "keys": (INDEX, by_keys),
    "exact here": (EXACT, contextlib.nullcontext),
}


def times(collection: Collection, way: str, rows: int, share: float) -> dict[str, Any]:
    """Return the seconds of a query with a filter, when it is first used and again."""
    index, circumstances = WAYS[way]
    # What was found for a filter is kept: each way has filters of its own.
    own = list(WAYS).index(way) / 1000
    first, again = list[float](), list[float]()
    with circumstances():
        for turn in range(REPEATS + 1):
            where = f"n < {share * rows - turn / 100 - own}"
            query = " ".join(f"w{turn + 9 * word}" for word in range(6))
            for kept in (first, again):
                started = perf_counter()
                hits = collection.search(query, index=index, k=K, where=where)
                kept.append(perf_counter() - started)
                assert len(hits) == K
    return {"first": summary(first[1:]), "again": summary(again[1:])}


def measure(folder: Path, uri: str, rows: int) -> dict[str, Any]:
    """Build a collection and its index on the server, and time all ways."""
    found: dict[str, Any] = {}
    with Collection.create(folder / "library") as collection:
        collection.add(documents(rows))
        collection.build(EXACT, HashingEmbedder(dim=DIM), ann="exact")
        started = perf_counter()
        options = {"index_type": "HNSW", "M": 16, "ef": 128}
        collection.build(INDEX, vectors=EXACT, engine=f"milvus:{uri}", options=options)
        found["build"] = perf_counter() - started
        changed = (one for one in documents(rows // 100))
        collection.add(
            Document(one.doc_id, one.text, metadata={**one.metadata, "n": -1}) for one in changed
        )
        started = perf_counter()
        collection.build(INDEX)
        found["one per cent of the metadata changed"] = perf_counter() - started
        for share in SHARES:
            for way in WAYS:
                found[f"{share:g} {way}"] = one = times(collection, way, rows, share)
                shown = (f"{name} {1000 * one[name]['median']:8.2f} ms" for name in one)
                print(f"{share:6.3f} {way:16} {'  '.join(shown)}", flush=True)
        collection.drop(INDEX)
    return found


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("uri")
    parser.add_argument("--rows", type=int, default=ROWS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), arguments.uri, arguments.rows)
    facts = certificate(rows=arguments.rows, dim=DIM, k=K, repeats=REPEATS)
    save("remote_filters", {**facts, "seconds": found})


if __name__ == "__main__":
    main()
