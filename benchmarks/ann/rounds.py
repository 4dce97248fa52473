"""What systems find, how fast they answer in turns, and how that compares."""

from __future__ import annotations

import gc
import time
from collections.abc import Mapping
from statistics import median
from typing import Any

import numpy as np

from benchmarks.ann.system import RECALLS, Search
from benchmarks.ann.vectors import Vectors

__all__ = ["DEPTHS", "K", "exact", "ratios", "recalls", "timed"]

K, DEPTHS = 10, (1, 10, 100)
ROUNDS, BATCH, ALONE, TURN, UNCOUNTED = 5, 500, 100, 25, 3
# Tolerance of a score in single precision.
TOLERANCE = 1e-6
PEERS = ("hnswlib", "usearch", "FAISS HNSW32")


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


def timed(searches: Mapping[str, Search]) -> dict[str, dict[str, Any]]:
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


def _seconds(search: Search, part: slice) -> tuple[float, float]:
    started, worked = time.perf_counter(), time.thread_time()
    search(part, K)
    return time.perf_counter() - started, time.thread_time() - worked


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": median(values), "least": min(values), "most": max(values)}


def ratios(rows: Mapping[str, Any]) -> dict[str, Any]:
    """Compare all others with the best peer at each recall: a batch, one query, and the build.

    The best peer is the one that answers most queries per processor second in a batch.
    """
    found = {}
    for recall in RECALLS:
        peers = [rows[f"{name} {recall}"] for name in PEERS if f"{name} {recall}" in rows]
        peers = [row for row in peers if row["recall"]["10"] >= recall]
        if not peers:
            continue
        best = max(peers, key=lambda row: row["batch_per_cpu_s"]["median"])
        for name, ours in rows.items():
            if ours["asked"] != recall or ours["system"] in PEERS:
                continue
            pairs = list(zip(ours["rounds"], best["rounds"], strict=True))
            found[name] = {
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
