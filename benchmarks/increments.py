"""The cost of a change to a large collection: `python -m benchmarks.increments`.

Needs RETRIEVER_DATA. Writes `results/increments.json`: processor seconds of BM25 and HNSW32 over
100,000 abstracts, built once, and brought up to date after 3 documents were added, edited and
deleted.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.certificate import certificate, checksum, data_folder, save
from benchmarks.durability import ABSTRACTS, HUNDRED_THOUSAND, abstracts
from retriever import Collection, Document, HashingEmbedder

DIM, STRUCTURE = 384, "HNSW32"
CHANGED = 3


def seconds(call: Callable[[], object]) -> float:
    """Return the processor seconds of a call, on all threads."""
    started = time.process_time()
    call()
    return round(time.process_time() - started, 2)


def builds(collection: Collection) -> dict[str, float]:
    """Bring both indexes up to date; return the seconds of each."""
    return {
        "bm25": seconds(lambda: collection.build("bm25")),
        "graph": seconds(lambda: collection.build("graph")),
    }


def measured(folder: Path, count: int) -> dict[str, Any]:
    """Build over `count` abstracts, and measure each change."""
    new = [
        Document(f"new{n}", f"An abstract on owls and elks, number {n}.") for n in range(CHANGED)
    ]
    old = [document.doc_id for document in abstracts(CHANGED)]
    with Collection.create(folder / "library") as collection:
        collection.add(abstracts(count))
        first = {
            "bm25": seconds(lambda: collection.build("bm25", lexical=True)),
            "graph": seconds(
                lambda: collection.build("graph", HashingEmbedder(dim=DIM), ann=STRUCTURE)
            ),
        }
        collection.add(new)
        added = builds(collection)
        collection.add(Document(doc_id, "An abstract that was edited.") for doc_id in old)
        edited = builds(collection)
        collection.delete([document.doc_id for document in new])
        return {"first": first, "added": added, "edited": edited, "deleted": builds(collection)}


def main() -> None:
    """Measure, print and save."""
    with tempfile.TemporaryDirectory() as folder:
        results = measured(Path(folder), HUNDRED_THOUSAND)
    print(results)
    facts = {"structure": STRUCTURE, "dim": DIM, "data": checksum(data_folder() / ABSTRACTS)}
    save("increments", {"certificate": certificate(**facts), **results})


if __name__ == "__main__":
    main()
