"""How long one query takes, one at a time, with every system measured in the same minute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retriever.search.results import Timing
from retriever.search.retriever import Retriever

WARM_UP = 3
MOST_QUERIES = 200
LEAST_SAMPLES = 30


@dataclass(frozen=True)
class Spread:
    """Milliseconds of one step: the median, the 95th and the 99th percentile."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True)
class Latency:
    """Milliseconds of single queries, one after another, warm.

    `encoding` makes a query's vector or terms, `searching` finds the best documents, `fetching`
    reads the hits' text; `total` is all three. `totals` are all totals that were measured,
    ascending.
    """

    encoding: Spread
    searching: Spread
    fetching: Spread
    total: Spread
    totals: tuple[float, ...]


def measure(retrievers: Sequence[Retriever], texts: Sequence[str], k: int) -> Mapping[str, Latency]:
    """The latency of each retriever over the same queries, by name.

    Systems take turns query by query, so that a slow moment of the machine hits all of them. Up to
    200 queries are spread evenly over those given; few queries are asked several times.
    """
    step = max(1, -(-len(texts) // MOST_QUERIES))
    sample = list(texts[::step])
    rounds = max(1, -(-LEAST_SAMPLES // len(sample)))
    for text in sample[:WARM_UP]:
        for retriever in retrievers:
            retriever.answer([text], k)
    timings: dict[str, list[Timing]] = {retriever.name: [] for retriever in retrievers}
    for text in sample * rounds:
        for retriever in retrievers:
            timings[retriever.name].append(retriever.answer([text], k)[1])
    return {name: _summary(values) for name, values in timings.items()}


def _summary(timings: Sequence[Timing]) -> Latency:
    steps = np.array([(t.encoding, t.searching, t.fetching, t.total) for t in timings]) * 1000
    encoding, searching, fetching, total = map(_spread, steps.T)
    return Latency(encoding, searching, fetching, total, tuple(np.sort(steps[:, 3]).tolist()))


def _spread(milliseconds: NDArray[np.float64]) -> Spread:
    return Spread(*np.percentile(milliseconds, [50, 95, 99]).tolist())
