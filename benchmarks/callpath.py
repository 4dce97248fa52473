"""Frames and calls of a query: `python -m benchmarks.callpath [--against CHECKOUT]`.

Counts, for this checkout: our stack frames from `Collection.search` to FAISS, Python calls of one
warm query, and source files that a first build enters. With `--against`, the same for another
checkout of this repository, and the time of one warm query in both, in turns of fresh processes,
as ratios.

Needs RETRIEVER_DATA. Writes `results/callpath.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.certificate import certificate, data_folder, save
from benchmarks.turns import HERE, spread

ROUNDS = 7
# Public names only: it runs in checkouts whose modules have other names.
CHILD = r"""
import json, os, statistics, sys, time
from pathlib import Path
from retriever import Collection, HashingEmbedder, StaticEmbedder, read_queries

folder, data = Path(sys.argv[1]), Path(sys.argv[2])
root = os.getcwd() + os.sep
def ours(code):
    file = code.co_filename
    return file.startswith((root + "indexes", root + "retriever"))

def files_entered(ann):
    entered = set()
    def note(frame, event, _):
        if event == "call" and ours(frame.f_code):
            entered.add(frame.f_code.co_filename)
    with Collection.create(folder.with_name(f"first-{ann}")) as first:
        first.add(data / "cranfield" / "corpus.jsonl")
        sys.setprofile(note)
        first.build("first", HashingEmbedder(), ann=ann)
        sys.setprofile(None)
    return len(entered)

files = {"exact": files_entered(None), "HNSW32": files_entered("HNSW32")}
library = Collection.create(folder)
library.add(data / "cranfield" / "corpus.jsonl")
library.build("glove", StaticEmbedder("glove-6b-50d"))
library.build("glove-hnsw", vectors="glove", ann="HNSW32")
library.build("bm25", lexical=True)
library.fuse("fused", ["bm25", "glove-hnsw"])
queries = list(read_queries(data / "cranfield" / "queries.jsonl").values())

counts = {"calls": 0, "our_calls": 0, "frames": 0}
def count(frame, event, _):
    if event != "call":
        return
    counts["calls"] += 1
    counts["our_calls"] += ours(frame.f_code)
    if "faiss" in frame.f_code.co_filename and not counts["frames"]:
        while frame:
            counts["frames"] += ours(frame.f_code)
            frame = frame.f_back

for text in queries[:20]:
    library.search(text, index="glove-hnsw")
sys.setprofile(count)
library.search(queries[0], index="glove-hnsw")
sys.setprofile(None)

times = {}
for index in ("glove", "glove-hnsw", "bm25", "fused"):
    for text in queries[:50]:
        library.search(text, index=index)
    taken = []
    for _ in range(4):
        for text in queries:
            started = time.perf_counter()
            library.search(text, index=index)
            taken.append(time.perf_counter() - started)
    times[index] = 1000 * statistics.median(taken)
print(json.dumps({**counts, "files_of_a_first_build": files, "query_ms": times}))
"""


def measured(checkout: Path) -> dict[str, Any]:
    """Return the counts and the median times of one fresh process in a checkout."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", CHILD, f"{folder}/library", str(data_folder())]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=True,
            cwd=checkout,
            env={**os.environ, "PYTHONPATH": str(checkout)},
        )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", type=Path, help="another checkout of this repository")
    other = parser.parse_args().against
    sides = {"here": HERE} | ({"other": other.resolve()} if other else {})
    rounds: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    for _ in range(ROUNDS):
        for side, checkout in sides.items():
            rounds[side].append(measured(checkout))
    result: dict[str, Any] = {side: runs[0] for side, runs in rounds.items()}
    if other:
        result["query_time_here_to_other"] = {
            index: spread(
                [
                    here["query_ms"][index] / there["query_ms"][index]
                    for here, there in zip(rounds["here"], rounds["other"], strict=True)
                ]
            )
            for index in rounds["here"][0]["query_ms"]
        }
    result["certificate"] = certificate()
    print(json.dumps(result, indent=1))
    save("callpath", result)


if __name__ == "__main__":
    main()
