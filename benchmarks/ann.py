"""Approximate search against hnswlib, usearch and FAISS's HNSW: `python -m benchmarks.ann [SET]`.

In an environment with the peers of `peers.txt`; needs RETRIEVER_DATA. Writes `results/ann.json`.
Every structure is built in a process of its own, and all answer in one process, in turns, with one
thread. Each is searched as hard as it takes to reach a recall@10 of .95, and of .99, for the
queries that are then timed. What was built is kept in `.cache/`; `--again` builds it anew.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.ann_vectors import SETS, Vectors, vectors
from benchmarks.certificate import RESULTS, certificate, collection_folder, save

K, DEPTHS = 10, (1, 10, 100)
RECALLS = (0.95, 0.99)
ROUNDS, BATCH, ALONE, TURN, UNCOUNTED = 7, 500, 200, 25, 3
# Tolerance of a score in single precision.
TOLERANCE = 1e-6
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
PEERS = ("hnswlib", "usearch", "FAISS HNSW32")
AUTO = "auto"


def systems(name: str, rows: int, dim: int) -> dict[str, Any]:
    """Return all systems over a set, by name."""
    from benchmarks import ann_systems as kinds

    folder = collection_folder("ann") / name
    library = folder / "library"
    parts = dim // 2 if dim >= 128 else dim
    cells = 1 << round(np.log2(np.sqrt(rows)))
    codes, in_cells = f"PQ{parts}x4fs", f"IVF{cells},PQ{parts}x4fsr"
    ours = [AUTO, "exact", codes, in_cells, f"IVF{cells},SQ8", f"IVF{cells},Flat"]
    made: list[kinds.System] = [
        kinds.Hnswlib("hnswlib", folder / "hnswlib"),
        kinds.Usearch("usearch", folder / "usearch"),
        kinds.FaissGraph("FAISS HNSW32", folder / "faiss-hnsw"),
        *(kinds.Bare(f"FAISS {one}", folder / one, one) for one in (codes, in_cells)),
        *(kinds.Ours(f"Retriever {one}", folder / f"ours-{one}", library, one) for one in ours),
        kinds.Whole(f"Collection.search {AUTO}", folder / "whole", library, AUTO),
    ]
    return {one.name: one for one in made}


def prepare(name: str) -> dict[str, Any]:
    """Make the vectors of a set, and store them in a collection."""
    from benchmarks.ann_systems import stored

    made = vectors(name)
    stored(collection_folder("ann") / name / "library", made)
    rows, dim = made.documents.shape
    facts = {"rows": rows, "dim": dim, "queries": len(made.queries), "checksum": made.checksum}
    return {**facts, "systems": list(systems(name, rows, dim))}


def build(name: str, system: str) -> dict[str, Any]:
    """Build one system; return wall-clock and processor seconds, reading the vectors left out."""
    made = vectors(name)
    one = systems(name, *made.documents.shape)[system]
    shutil.rmtree(one.folder, ignore_errors=True)
    one.folder.mkdir(parents=True)
    gc.collect()
    started, worked = time.perf_counter(), time.process_time()
    one.build(made)
    return {
        "build_s": time.perf_counter() - started,
        "build_cpu_s": time.process_time() - worked,
    }


def ask(name: str) -> dict[str, Any]:
    """Measure all systems of a set in turns, each at every recall: what is found, and times."""
    made = vectors(name)
    truth = exact(made)
    found: dict[str, dict[str, Any]] = {}
    searches: dict[str, tuple[Any, Callable[[slice, int], Any]]] = {}
    for label, one in systems(name, *made.documents.shape).items():
        one.open(made)
        every = slice(0, len(made.queries))
        for recall in RECALLS:
            effort, search = one.reaching(
                recall, lambda search, one=one: recalls(made, truth, one.rows(search(every, K)))[1]
            )
            row = {"system": label, "asked": recall, "effort": effort, "bytes": one.size}
            reached = recalls(made, truth, one.rows(search(every, K)))
            further = recalls(made, truth, one.rows(search(every, DEPTHS[-1])))
            row["recall"] = {"1": reached[0], "10": reached[1], "100": further[2]}
            found[f"{label} {recall}"], searches[f"{label} {recall}"] = row, (one, search)
            print(f"{name} {label} {recall}: {effort} {reached}", file=sys.stderr, flush=True)
            if not effort:  # exact: nothing to choose
                break
    for label, times in timed({label: search for label, (_, search) in searches.items()}).items():
        found[label] |= times
    return found


def exact(made: Vectors) -> np.ndarray:
    """Return the scores of the 100 nearest documents of each query, by brute force."""
    scores = [query @ made.documents.T for query in made.queries]
    return np.stack([-np.sort(-np.partition(one, -DEPTHS[-1])[-DEPTHS[-1] :]) for one in scores])


def recalls(made: Vectors, truth: np.ndarray, rows: np.ndarray) -> list[float]:
    """Return the share of the 1, 10 and 100 nearest among as many rows found; ties count."""
    documents = made.documents[np.maximum(rows, 0)]
    scores = np.einsum("ij,ikj->ik", made.queries, documents)
    scores[rows < 0] = -np.inf
    scores = -np.sort(-scores, axis=1)
    depths = [depth for depth in DEPTHS if depth <= rows.shape[1]]
    return [
        float((scores[:, :depth] >= truth[:, depth - 1 : depth] - TOLERANCE).mean())
        for depth in depths
    ]


def timed(searches: Mapping[str, Callable[[slice, int], Any]]) -> dict[str, dict[str, Any]]:
    """Time a batch, and queries alone, of all searches in turns.

    Wall-clock and processor time: others may use the machine. Of each figure, the median, least and
    most of the rounds. A turn of single queries begins with some that do not count.
    """
    gc.collect()
    gc.freeze()
    names = list(searches)
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for number in range(ROUNDS + 1):  # the first is the warm-up
        alone: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
        batches = {}
        for name in names[number:] + names[:number]:
            batches[name] = _seconds(searches[name], slice(0, BATCH))
        for start in range(0, ALONE, TURN):
            for name in names[start:] + names[:start]:
                for place in range(start, start + UNCOUNTED):
                    searches[name](slice(place, place + 1), K)
                places = range(start, min(start + TURN, ALONE))
                alone[name] += [_seconds(searches[name], slice(at, at + 1)) for at in places]
        for name in names if number else ():
            wall, cpu = np.array(alone[name]).T * 1e6
            rounds[name].append(
                {
                    "batch_per_s": BATCH / batches[name][0],
                    "batch_per_cpu_s": BATCH / batches[name][1],
                    "p50_us": float(np.percentile(wall, 50)),
                    "p95_us": float(np.percentile(wall, 95)),
                    "cpu_us": float(np.median(cpu)),
                }
            )
    return {
        name: {
            **{fact: _spread([one[fact] for one in some]) for fact in some[0]},
            "rounds": [
                [one["batch_per_s"], one["p50_us"], one["batch_per_cpu_s"], one["cpu_us"]]
                for one in some
            ],
        }
        for name, some in rounds.items()
    }


def _seconds(search: Callable[[slice, int], Any], part: slice) -> tuple[float, float]:
    started, worked = time.perf_counter(), time.thread_time()
    search(part, K)
    return time.perf_counter() - started, time.thread_time() - worked


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": median(values), "least": min(values), "most": max(values)}


def ratios(rows: Mapping[str, Any]) -> dict[str, Any]:
    """Compare `auto` with the best peer at each recall, by the rounds: a batch, and one query.

    The best peer is the one that answers most queries per processor second in a batch.
    """
    found = {}
    for recall in RECALLS:
        peers = [rows[f"{name} {recall}"] for name in PEERS if f"{name} {recall}" in rows]
        peers = [row for row in peers if row["recall"]["10"] >= recall]
        if not peers:
            continue
        best = max(peers, key=lambda row: row["batch_per_cpu_s"]["median"])
        for ours in [row for row in rows.values() if row["asked"] == recall and row not in peers]:
            pairs = list(zip(ours["rounds"], best["rounds"], strict=True))
            found[f"{ours['system']} {recall}"] = {
                "best_peer": best["system"],
                "batch": _spread([one[0] / other[0] for one, other in pairs]),
                "alone": _spread([other[1] / one[1] for one, other in pairs]),
                "batch_cpu": _spread([one[2] / other[2] for one, other in pairs]),
                "alone_cpu": _spread([other[3] / one[3] for one, other in pairs]),
                "build": best["build_s"] / ours["build_s"] if ours.get("build_s") else None,
                "build_cpu": best["build_cpu_s"] / ours["build_cpu_s"]
                if ours.get("build_cpu_s")
                else None,
            }
    return found


TASKS = {task.__name__: task for task in (prepare, build, ask)}


def in_a_process(task: str, *arguments: str) -> Any:
    """Run a task with one thread in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.ann", "--task", task, *arguments],
        stdout=subprocess.PIPE,
        env={**os.environ, **ONE_THREAD},
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def measured(name: str, *, again: bool) -> dict[str, Any]:
    """Build what is missing of a set, and measure all of its systems."""
    facts = in_a_process("prepare", name)
    kept = collection_folder("ann") / name / "builds.json"
    builds = json.loads(kept.read_text()) if kept.exists() and not again else {}
    for system in facts["systems"]:
        if system not in builds and not system.startswith("Collection"):
            builds[system] = in_a_process("build", name, system)
            kept.write_text(json.dumps(builds))
    rows = in_a_process("ask", name)
    for row in rows.values():
        row |= builds.get(row["system"], {})
    del facts["systems"]
    return {**facts, "rows": rows, "to_best_peer": ratios(rows)}


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", default=list(SETS), help="glove, arxiv; both")
    parser.add_argument("--again", action="store_true", help="build anew what is kept")
    parser.add_argument("--task", choices=TASKS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.task:
        print(json.dumps(TASKS[given.task](*given.sets)))
        return
    file = RESULTS / "ann.json"
    result: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    result["sets"] = result.get("sets", {})
    for name in given.sets:
        result["sets"][name] = measured(name, again=given.again)
    result["certificate"] = certificate(
        command="python -m benchmarks.ann",
        data="399,000 GloVe vectors and 100,000 arXiv abstracts",
        data_checksum=" ".join(one["checksum"] for one in result["sets"].values()),
        peers={name: metadata.version(name) for name in ("hnswlib", "usearch")},
        rounds=ROUNDS,
    )
    save("ann", result)


if __name__ == "__main__":
    main()
