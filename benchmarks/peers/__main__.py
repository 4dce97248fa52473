"""Retriever against its peers: `python -m benchmarks.peers`, in the environment of `peers.txt`.

Needs RETRIEVER_DATA. Writes `results/peers.json`. Everything is measured in child processes,
with the same threads: building and opening each in a fresh one, systems taking turns; queries in
one process that holds all systems. The first run embeds the corpus, minutes on two cores; the
vectors are kept in `.cache/` with the time that this took.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.certificate import certificate, checksum, save, summary
from benchmarks.peers import material, rounds
from benchmarks.peers.systems import NAMES
from benchmarks.peers.table import table

BUILDS = 3
OPENINGS = 7
ROUNDS = 7
THREAD_ROUNDS = 3
WHOLE_ROUNDS = 5
WHOLE_QUERIES = 100
THREADS = str(len(os.sched_getaffinity(0)))
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "LANGSMITH_TRACING": "false",
    "ANONYMIZED_TELEMETRY": "False",
    "TOKENIZERS_PARALLELISM": "false",
    **dict.fromkeys(
        (
            "LANCE_CPU_THREADS",
            "MKL_NUM_THREADS",
            "OMP_NUM_THREADS",
            "OPENBLAS_NUM_THREADS",
            "RAYON_NUM_THREADS",
            "TOKIO_WORKER_THREADS",
        ),
        THREADS,
    ),
}


def in_a_process(task: str, **arguments: Any) -> dict[str, Any]:
    """Run a task in a separate process and return its measurements."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.peers.child", task],
        input=json.dumps(arguments),
        capture_output=True,
        env={**os.environ, **ENVIRONMENT},
        text=True,
        check=False,
    )
    if done.returncode:
        raise ChildProcessError(done.stderr.strip() or f"exit status {done.returncode}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def building(parent: Path) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Build every system several times; return the measurements, and why some were skipped.

    The last build of each is kept, in a folder of the system's name.
    """
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in NAMES}
    left_out: dict[str, str] = {}
    for _ in range(BUILDS):
        for name in [name for name in NAMES if name not in left_out]:
            folder = parent / name
            shutil.rmtree(folder, ignore_errors=True)
            try:
                runs[name].append(in_a_process("build", name=name, folder=str(folder)))
            except ChildProcessError as error:
                left_out[name] = str(error).splitlines()[-1]
                print(f"{name} is left out:\n{error}", file=sys.stderr)
    rows = {
        name: {
            **{fact: some[-1][fact] for fact in ("name", "package", "version", "how", "bytes")},
            **_summaries(some, "build_s", "before_MB", "peak_MB"),
        }
        for name, some in runs.items()
        if name not in left_out
    }
    return rows, left_out


def opening(folders: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Open every system in fresh processes, systems taking turns, and run the first query."""
    modules = {
        name: in_a_process("first", name=name, folder=folder, modules=[])["modules"]
        for name, folder in folders.items()
    }
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in folders}
    for _ in range(OPENINGS):
        for name, folder in folders.items():
            runs[name].append(
                in_a_process("first", name=name, folder=folder, modules=modules[name])
            )
    facts = ("import_s", "open_s", "bare_MB", "imported_MB", "resident_MB")
    return {name: _summaries(some, *facts) for name, some in runs.items()}


def by_threads(folders: dict[str, str]) -> dict[str, dict[str, dict[str, float]]]:
    """Ask every system by several threads, in a process for each, systems taking turns.

    Without one that refuses to be asked by another thread than the one that opened it, or crashes.
    """
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in folders}
    for _ in range(THREAD_ROUNDS):
        for name in list(runs):
            try:
                runs[name].append(in_a_process("by_threads", name=name, folder=folders[name]))
            except ChildProcessError as error:
                print(f"{name}, asked by several threads: {error}", file=sys.stderr)
                del runs[name]
    return {name: _summaries(some, "by_threads_per_second") for name, some in runs.items()}


def _summaries(runs: list[dict[str, Any]], *facts: str) -> dict[str, dict[str, float]]:
    return {fact: summary([run[fact] for run in runs]) for fact in facts}


def measured() -> dict[str, Any]:
    """Return all measurements, by system."""
    embedding = in_a_process("embed")
    with tempfile.TemporaryDirectory() as parent:
        rows, left_out = building(Path(parent))
        folders = {name: str(Path(parent) / name) for name in rows}
        opened = opening(folders)
        asked = in_a_process("ask", folders=folders, repeats=ROUNDS)
        threads = by_threads(folders)
        whole = in_a_process("whole", folders=folders, repeats=WHOLE_ROUNDS, count=WHOLE_QUERIES)
    for name, row in rows.items():
        row |= opened[name]
        row |= asked["right"][name]
        row |= {**asked["one"][name], **asked["batch"][name], **threads.get(name, {})}
        row |= {f"with_model_{fact}": value for fact, value in whole["one"][name].items()}
    return {"embedding": embedding, "systems": rows, "left_out": left_out}


def main() -> None:
    """Measure, print, save."""
    result = measured()
    print(table(result))
    facts = {
        "data": "BEIR SciFact, 5,183 documents, 300 test queries",
        "data_checksum": checksum(*material.files()),
        "model": material.MODEL,
        "command": "python -m benchmarks.peers",
        "threads": THREADS,
        "peers": {row["package"]: row["version"] for row in result["systems"].values()},
        "k": rounds.K,
        "builds": BUILDS,
        "openings": OPENINGS,
        "rounds": ROUNDS,
        "thread_rounds": THREAD_ROUNDS,
        "latency": f"warm, in turns of {rounds.TURN} queries, all systems in one process",
        "with_model": f"{WHOLE_ROUNDS} rounds of {WHOLE_QUERIES} queries",
        "memory": "resident set: peak while building, and after opening and one query",
    }
    save("peers", {"certificate": certificate(**facts), **result})


if __name__ == "__main__":
    main()
