"""The provenance of a figure (commit, versions, data, machine), and the files of results."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

__all__ = ["RESULTS", "certificate", "checksum", "collection_folder", "repeated", "save"]

HERE = Path(__file__).parent
RESULTS = HERE / "results"
LIBRARIES = ("faiss-cpu", "sentence-transformers", "torch", "gensim", "numpy", "pyarrow")


def data_folder() -> Path:
    """Return the folder of real test collections; exit with a message if there is none."""
    folder = os.environ.get("RETRIEVER_DATA")
    if not folder:
        raise SystemExit("Set RETRIEVER_DATA to the folder of test collections.")
    return Path(folder)


def collection_folder(name: str) -> Path:
    """Return the folder in which a benchmark keeps a collection between runs."""
    folder = HERE.parent / ".cache" / "benchmarks" / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    return folder


def checksum(*paths: Path) -> str:
    """Return the first 16 digits of the SHA-256 over some files."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def repeated(
    action: Callable[[], object], *, repeats: int = 7, warm_up: int = 1
) -> dict[str, float]:
    """Time an action: median, fastest and slowest of `repeats` in seconds, after a warm-up."""
    for _ in range(warm_up):
        action()
    seconds = []
    for _ in range(repeats):
        started = perf_counter()
        action()
        seconds.append(perf_counter() - started)
    return summary(seconds)


def summary(seconds: Sequence[float]) -> dict[str, float]:
    """Return median, fastest and slowest of some times."""
    return {"median": median(seconds), "fastest": min(seconds), "slowest": max(seconds)}


def certificate(**facts: Any) -> dict[str, Any]:
    """Return where and when a figure was measured; `facts` say what, on which data, how often."""
    # Imported here, so that a process that only measures does not load the library.
    from retriever.hardware import processor

    return {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": _git("rev-parse", "--short", "HEAD"),
        "clean": not _git("status", "--porcelain", "--", "retriever", "indexes", "benchmarks/*.py"),
        "python": platform.python_version(),
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "versions": {name: metadata.version(name) for name in LIBRARIES},
        **facts,
    }


def save(name: str, result: Mapping[str, Any]) -> None:
    """Save a result next to the script that made it."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    print(f"wrote benchmarks/results/{path.name}")


def _git(*words: str) -> str:
    root = HERE.parent
    done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
    return done.stdout.strip()
