"""Approximate search against hnswlib, usearch and FAISS's HNSW: `python -m benchmarks.ann [SET]`.

In an environment with the peers of `peers.txt`; needs RETRIEVER_DATA. Writes `results/ann.json`.
Every structure is built in a process of its own, and all answer in one process, in turns, with one
thread. Each is searched as hard as it takes to reach a recall@10 of .95, and of .99, for the
queries that are then timed. What was built is kept in `.cache/`; `--again` builds it again.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import time
from importlib import metadata
from typing import Any

import numpy as np

from benchmarks.ann import rounds
from benchmarks.ann.system import RECALLS, Search, System
from benchmarks.ann.vectors import SETS, vectors
from benchmarks.certificate import RESULTS, certificate, collection_folder, save

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
AUTO = "auto"


def systems(name: str, rows: int, dim: int) -> dict[str, Any]:
    """Return all systems over a set, by name."""
    from benchmarks.ann import ours as own
    from benchmarks.ann import peers

    folder = collection_folder("ann") / name
    library = folder / "library"
    parts = dim // 2 if dim >= 100 else dim
    cells = 1 << round(np.log2(np.sqrt(rows)))
    codes, in_cells = f"PQ{parts}x4fs", f"IVF{cells},PQ{parts}x4fsr"
    chosen = [own.Ours(f"Retriever {AUTO} {recall}", library, AUTO, [recall]) for recall in RECALLS]
    ours = ["exact", codes, in_cells, f"IVF{cells},SQ8", f"IVF{cells},Flat"]
    made: list[System] = [
        peers.Hnswlib("hnswlib", folder / "hnswlib"),
        peers.Usearch("usearch", folder / "usearch"),
        peers.FaissGraph("FAISS HNSW32", folder / "faiss-hnsw"),
        *(peers.Bare(f"FAISS {one}", folder / one, one) for one in (codes, in_cells)),
        *chosen,
        *(own.Ours(f"Retriever {one}", library, one) for one in ours),
        *(own.Whole(f"Collection.search {AUTO} {one.recalls[0]}", one) for one in chosen),
    ]
    return {one.name: one for one in made}


def prepare(name: str) -> dict[str, Any]:
    """Make the vectors of a set, and store them in a collection."""
    from benchmarks.ann.ours import stored

    made = vectors(name)
    stored(collection_folder("ann") / name / "library", made)
    rows, dim = made.documents.shape
    facts = {"count": rows, "dim": dim, "queries": len(made.queries), "checksum": made.checksum}
    return {**facts, "systems": list(systems(name, rows, dim))}


def build(name: str, system: str) -> dict[str, Any]:
    """Build one system; return wall-clock and processor seconds, reading the vectors left out."""
    made = vectors(name)
    one = systems(name, *made.documents.shape)[system]
    one.folder.mkdir(parents=True, exist_ok=True)
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
    truth, every = rounds.exact(made), slice(0, len(made.queries))
    found: dict[str, dict[str, Any]] = {}
    searches: dict[str, Search] = {}
    for label, one in systems(name, *made.documents.shape).items():
        one.open(made)

        def share(search: Any, k: int = rounds.K, rows: Any = one.rows) -> list[float]:
            return rounds.recalls(made, truth, rows(search(every, k)))

        for recall in one.recalls:
            effort, search = one.reaching(recall, lambda search, share=share: share(search)[1])
            few, many = share(search), share(search, rounds.DEPTHS[-1])
            print(f"{name} {label} {recall}: {effort} {few}", file=sys.stderr, flush=True)
            key = label if label.endswith(str(recall)) else f"{label} {recall}"
            searches[key] = search
            found[key] = {
                "system": label,
                "asked": recall,
                "effort": effort,
                "bytes": one.size,
                "recall": {"1": few[0], "10": few[1], "100": many[2]},
            }
            if not effort:  # exact: nothing to choose
                break
    for label, times in rounds.timed(searches).items():
        found[label] |= times
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
        row |= builds.get(row["system"].replace("Collection.search", "Retriever"), {})
    del facts["systems"]
    return {**facts, "rows": rows, "to_best_peer": rounds.ratios(rows)}


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", default=list(SETS), help="glove, arxiv; both")
    parser.add_argument("--again", action="store_true", help="build again what is kept")
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
        rounds=rounds.ROUNDS,
    )
    save("ann", result)


if __name__ == "__main__":
    main()
