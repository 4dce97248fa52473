"""How long one query takes, one at a time, with every system measured in the same minute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from retriever.search import DenseRetriever, Timing

__all__ = ["Latency", "measure"]

WARM_UP = 3
MOST_QUERIES = 200
LEAST_SAMPLES = 30


@dataclass(frozen=True)
class Latency:
    """Milliseconds of single queries, one after another: medians (p50) and 95th percentiles.

    `searching` finds the nearest vectors, `fetching` reads the hits' text; `total` is all three.
    """

    samples: int
    encoding_p50: float
    encoding_p95: float
    searching_p50: float
    searching_p95: float
    fetching_p50: float
    fetching_p95: float
    total_p50: float
    total_p95: float


def measure(
    retrievers: Sequence[DenseRetriever], texts: Sequence[str], k: int
) -> Mapping[str, Latency]:
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
    middle, high = np.percentile(steps, [50, 95], axis=0).tolist()
    return Latency(
        samples=len(timings),
        encoding_p50=middle[0],
        encoding_p95=high[0],
        searching_p50=middle[1],
        searching_p95=high[1],
        fetching_p50=middle[2],
        fetching_p95=high[2],
        total_p50=middle[3],
        total_p95=high[3],
    )
