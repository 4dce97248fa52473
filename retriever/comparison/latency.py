"""Measure the latency of single queries, with all systems interleaved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from retriever.evaluation.results import Latency, Spread
from retriever.search.queries import Query
from retriever.search.results import Timing
from retriever.search.retriever import Retriever

WARM_UP = 3
MOST_QUERIES = 200
LEAST_SAMPLES = 30


def measure(
    retrievers: Sequence[Retriever], queries: Sequence[Query], k: int
) -> Mapping[str, Latency]:
    """Measure the latency of each retriever over the same queries; return it by name.

    Systems take turns query by query, so that a slow moment of the machine hits all of them. Up to
    200 queries are sampled evenly; fewer than 30 are repeated.
    """
    step = max(1, -(-len(queries) // MOST_QUERIES))
    sample = list(queries[::step])
    rounds = max(1, -(-LEAST_SAMPLES // len(sample)))
    for query in sample[:WARM_UP]:
        for retriever in retrievers:
            retriever.answer([query], k)
    timings: dict[str, list[Timing]] = {retriever.name: [] for retriever in retrievers}
    for query in sample * rounds:
        for retriever in retrievers:
            timings[retriever.name].append(retriever.answer([query], k)[1])
    return {name: _summary(values) for name, values in timings.items()}


def _summary(timings: Sequence[Timing]) -> Latency:
    steps = np.array([(t.encoding, t.searching, t.fetching, t.total) for t in timings]) * 1000
    percentiles = np.percentile(steps, [50, 95, 99], axis=0).T.tolist()
    encoding, searching, fetching, total = (Spread(*step) for step in percentiles)
    return Latency(encoding, searching, fetching, total, tuple(np.sort(steps[:, 3]).tolist()))
