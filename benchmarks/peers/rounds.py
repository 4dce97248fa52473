"""Systems taking turns at the same queries in one process, and whether their answers are right."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import TypeVar

import numpy as np

from benchmarks.peers.material import Corpus, Queries
from benchmarks.peers.system import Found, System

__all__ = ["K", "agreement", "by_threads", "one_by_one", "together"]

K = 10
# A turn: this many queries in a row, the first of which find the caches and threads of others.
TURN = 25
UNCOUNTED = 5
# Threads that ask one system at once.
THREADS = 8
# Tolerances of a score in single precision, and of a tie.
TOLERANCE = 1e-5

Item = TypeVar("Item")
Times = dict[str, dict[str, float]]


def one_by_one(
    systems: Mapping[str, System], texts: Sequence[str], repeats: int
) -> dict[str, Times]:
    """Time one query in ms: median, least and most of each round's p50 and p95.

    Each round runs every query through every system, in turns; the first system changes from turn
    to turn. A turn's first queries run twice, and only the second time counts; before the first
    round, each system has a turn as warm-up.
    """
    for one in systems.values():
        for text in texts[:TURN]:
            one.search_one(text, K)
    _settle()
    seconds: dict[str, list[list[float]]] = {name: [] for name in systems}
    for _ in range(repeats):
        for name in systems:
            seconds[name].append([])
        for number, turn in enumerate(_turns(texts)):
            for name in _rotated(list(systems), number):
                search = systems[name].search_one
                for text in turn[:UNCOUNTED]:
                    search(text, K)
                seconds[name][-1] += [_seconds(search, text) for text in turn]
    return {
        name: {
            "p50_ms": _spread([1000 * float(np.percentile(one, 50)) for one in some]),
            "p95_ms": _spread([1000 * float(np.percentile(one, 95)) for one in some]),
        }
        for name, some in seconds.items()
    }


def together(systems: Mapping[str, System], texts: Sequence[str], repeats: int) -> dict[str, Times]:
    """Return queries per second in one batch; systems take turns, after one turn of warm-up."""
    _settle()
    rates: dict[str, list[float]] = {name: [] for name in systems}
    for number in range(repeats + 1):
        for name in _rotated(list(systems), number):
            rates[name].append(len(texts) / _seconds(systems[name].search_batch, texts))
    return {name: {"queries_per_second": _spread(some[1:])} for name, some in rates.items()}


def by_threads(system: System, texts: Sequence[str]) -> float:
    """Return queries per second of `THREADS` that ask at once, one query each at a time.

    After one round of warm-up.
    """
    _settle()
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in range(2):
            started = time.perf_counter()
            list(pool.map(lambda text: system.search_one(text, K), texts))
            seconds = time.perf_counter() - started
    return len(texts) / seconds


def agreement(system: System, corpus: Corpus, queries: Queries) -> dict[str, float]:
    """Compare a system's answers to all queries with the truth, one by one and in a batch.

    `recall` is the share of hits whose true cosine is at least the true k-th's, ties counted;
    `overlap` the share of the true ids; `wrong` counts hits with a wrong text or score, and queries
    whose answers in a batch differ from those one by one.
    """
    truth = queries.vectors.astype(np.float64) @ corpus.vectors.astype(np.float64).T
    rows = {doc_id: row for row, doc_id in enumerate(corpus.doc_ids)}
    recalls, overlaps, wrong = [], [], 0
    answers = system.read_batch(system.search_batch(queries.texts, K))
    for text, scores, in_batch in zip(queries.texts, truth, answers, strict=True):
        hits = system.read_one(system.search_one(text, K))
        found = [rows[doc_id] for doc_id, _, _ in hits]
        best = np.argsort(-scores, kind="stable")[:K]
        recalls.append(float((scores[found] >= scores[best[-1]] - TOLERANCE).sum()) / K)
        overlaps.append(len({*found} & {*best.tolist()}) / K)
        wrong += sum(not _is_right(hit, corpus, scores, rows) for hit in hits)
        wrong += {doc_id for doc_id, _, _ in hits} != {doc_id for doc_id, _, _ in in_batch}
    return {
        "recall": float(np.mean(recalls)),
        "overlap": float(np.mean(overlaps)),
        "wrong": wrong,
    }


def _is_right(hit: Found, corpus: Corpus, scores: np.ndarray, rows: Mapping[str, int]) -> bool:
    doc_id, text, score = hit
    row = rows[doc_id]
    return text == corpus.texts[row] and abs(score - scores[row]) < TOLERANCE


def _settle() -> None:
    """Disable garbage collection: many libraries' objects would slow it down for everyone."""
    gc.collect()
    gc.freeze()


def _turns(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    return (texts[start : start + TURN] for start in range(0, len(texts), TURN))


def _rotated(items: list[Item], by: int) -> list[Item]:
    by %= len(items)
    return items[by:] + items[:by]


def _seconds(search: object, asked: object) -> float:
    assert callable(search)
    started = time.perf_counter()
    search(asked, K)
    return time.perf_counter() - started


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": median(values), "least": min(values), "most": max(values)}
