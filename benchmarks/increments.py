"""The cost of a change to a large collection: `python -m benchmarks.increments [nightly]`.

Needs RETRIEVER_DATA. Writes `results/increments.json`: processor seconds of BM25 and HNSW32 over
100,000 abstracts, built once, and brought up to date after 3 documents were added, edited and
deleted; and abstracts a second of three more builds of BM25, by the clock. With `nightly`, writes
`results/nightly.json` instead: processor seconds of one `retriever update` of 10,000 documents, in
a table and in a folder of files, of which 1 % changed or none, with BM25, GloVe vectors and HNSW32
over those.
"""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.certificate import certificate, checksum, data_folder, save
from benchmarks.durability import ABSTRACTS, HUNDRED_THOUSAND, STATIC, abstracts
from retriever import Collection, Document, HashingEmbedder, StaticEmbedder

DIM, STRUCTURE = 384, "HNSW32"
CHANGED = 3
NIGHTLY, SHARE = 10_000, 100  # documents, of which one in so many changes
# What a nightly update does, with the processor seconds after each part.
PARTS = """
import json, sys, time
from retriever import Collection
spent = {"imports": time.process_time()}
with Collection.open(sys.argv[1]) as library:
    tell = lambda part: spent.update({getattr(part, "name", "documents"): time.process_time()})
    library.update(sys.argv[2], tell=tell)
times = [0.0, *spent.values()]
print(json.dumps({name: round(b - a, 2) for name, a, b in zip(spent, times, times[1:])}))
"""


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
        deleted = builds(collection)
        rates = [abstracts_a_second(collection, f"bm25-{n}") for n in range(3)]
    return {
        "first": first,
        "added": added,
        "edited": edited,
        "deleted": deleted,
        "bm25_abstracts_per_s": rates,
    }


def abstracts_a_second(collection: Collection, name: str) -> int:
    """Build BM25 under another name; return its documents a second by the clock."""
    started = time.perf_counter()
    collection.build(name, lexical=True)
    return round(len(collection) / (time.perf_counter() - started))


def child(*command: object) -> tuple[float, str]:
    """Run a Python process; return its processor seconds, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    arguments = [sys.executable, *map(str, command)]
    printed = subprocess.run(arguments, check=True, capture_output=True, text=True).stdout
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    return round(now.ru_utime + now.ru_stime - before.ru_utime - before.ru_stime, 2), printed


def write_table(path: Path, documents: list[Document]) -> Path:
    """Write documents as lines of JSON."""
    records = ({"_id": one.doc_id, "title": one.title, "text": one.text} for one in documents)
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    return path


def write_folder(path: Path, documents: list[Document]) -> Path:
    """Write each document as a file; those that are as they were are left untouched."""
    path.mkdir(exist_ok=True)
    wanted = {
        f"{one.doc_id.replace('/', '-')}.md": f"{one.title}\n\n{one.text}" for one in documents
    }
    for name in {file.name for file in path.iterdir()} - wanted.keys():
        (path / name).unlink()
    for name, text in wanted.items():
        if not (path / name).exists() or (path / name).read_text() != text:
            (path / name).write_text(text)
    return path


def tomorrow(documents: list[Document]) -> list[Document]:
    """Return documents of which 1 % have changed: half are edited, a quarter replaced by others."""
    changed = len(documents) // SHARE
    gone, new = documents[changed // 2 : changed * 3 // 4], changed // 4
    edited = [
        Document(one.doc_id, f"{one.text} Revised.", one.title) for one in documents[: changed // 2]
    ]
    added = [
        Document(f"new-{n}", f"{one.text} Another.", one.title) for n, one in enumerate(gone[:new])
    ]
    return [*edited, *documents[changed * 3 // 4 :], *added]


def nightly(
    folder: Path, name: str, write: Callable[[Path, list[Document]], Path]
) -> dict[str, Any]:
    """Measure a first night without changes, and a second one with 1 % changed."""
    documents = list(abstracts(NIGHTLY))
    source, library = write(folder / name, documents), folder / "library"
    with Collection.create(library) as collection:
        collection.add(source)
        collection.build("bm25", lexical=True)
        collection.build("glove", StaticEmbedder(STATIC))
        collection.build("graph", vectors="glove", ann=STRUCTURE)
    time.sleep(3)  # files written a moment ago are read again
    update = ("-m", "retriever", "update")
    child(*update, library, source)
    unchanged, _ = child(*update, library, source)
    write(source, tomorrow(documents))
    shutil.copytree(library, folder / "copy")
    changed, _ = child(*update, library, source)
    parts = json.loads(child("-c", PARTS, folder / "copy", source)[1])
    return {"unchanged": unchanged, "changed": changed, "parts": parts}


def main(what: str = "") -> None:
    """Measure, print and save."""
    if what == "nightly":
        results = {}
        for name, write in (("table.jsonl", write_table), ("folder", write_folder)):
            with tempfile.TemporaryDirectory() as folder:
                results[name.split(".")[0]] = nightly(Path(folder), name, write)
        print(results)
        facts = {"structure": STRUCTURE, "static": STATIC, "documents": NIGHTLY}
        facts["data"] = checksum(data_folder() / ABSTRACTS)
        save("nightly", {"certificate": certificate(**facts), **results})
        return
    with tempfile.TemporaryDirectory() as folder:
        results = measured(Path(folder), HUNDRED_THOUSAND)
    print(results)
    facts = {"structure": STRUCTURE, "dim": DIM, "data": checksum(data_folder() / ABSTRACTS)}
    save("increments", {"certificate": certificate(**facts), **results})


if __name__ == "__main__":
    main(*sys.argv[1:])
