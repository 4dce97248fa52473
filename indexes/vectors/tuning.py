"""Search parameters of a structure: the cheapest that reach a recall, and what they cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

import numpy as np
from numpy.typing import NDArray

from indexes.errors import InputError
from indexes.neighbors import Keys, Matrix
from indexes.vectors import approximate, exact
from indexes.vectors.approximate import MEASURED, search
from indexes.vectors.blocks import Block
from indexes.vectors.engine import Mask, VectorIndex

# Queries near vectors of the collection that a structure is tuned with.
TUNED_WITH = 256
# One-sided quantile of the normal distribution, times the square root of 2: of 100 choices, 95
# reach the recall for as many other queries, too, of which the mean has an error of its own.
CONFIDENCE = 1.645 * 2**0.5
DEPTHS = (1, 10, 100)
ALONE, BATCHES = 100, 3


@dataclass(frozen=True)
class Sample:
    """Queries (n, dim) with the exact scores of their nearest (n, k), best first."""

    queries: Matrix
    true: Matrix

    @classmethod
    def of(cls, queries: Matrix, blocks: Sequence[Block], k: int, deleted: Keys) -> Sample:
        """Find the `k` nearest by brute force; queries of zeros, which find nothing, are left out.

        `blocks` hold the vectors of the structure to be measured, and no others.

        Raises:
            InputError: all are of zeros.
        """
        queries = queries[queries.any(axis=1)]
        if not len(queries):
            raise InputError("No query has a vector to measure with. Give others, or none.")
        return cls(queries, exact.search(queries, blocks, k, deleted).scores)

    def hits(
        self, structure: VectorIndex, blocks: Sequence[Block], k: int, mask: Mask | None
    ) -> NDArray[np.float64]:
        """Return the share of the `k` nearest that a structure finds, for each query, (n,)."""
        step = exact.QUERY_ROWS
        found = [
            search(structure, self.queries[start : start + step], k, blocks, mask).scores[:, :k]
            for start in range(0, len(self.queries), step)
        ]
        return approximate.shares_found(np.concatenate(found), self.true[:, :k])

    def latency(
        self, structure: VectorIndex, blocks: Sequence[Block], k: int, mask: Mask | None
    ) -> float:
        """Return the median processor time of a search for one query, in seconds."""
        seconds = []
        for query in self.queries[:ALONE]:
            started = time.thread_time()
            search(structure, query[None], k, blocks, mask)
            seconds.append(time.thread_time() - started)
        return median(seconds)


@dataclass(frozen=True)
class Tuned:
    """The search parameters that were chosen, and the recall@10 that they reach in the sample.

    `latency` as in `Measured`.
    """

    search: Mapping[str, float]
    recall: float
    latency: float


@dataclass(frozen=True)
class Measured:
    """What a structure finds and takes: `recall` at several k, on average over `queries` queries.

    `latency` is the median processor time of a query alone, in seconds; `throughput` the queries
    per second in batches, on all threads; both with the exact scoring of the candidates.
    """

    recall: Mapping[int, float]
    queries: int
    latency: float
    throughput: float


def tune(
    structure: VectorIndex,
    blocks: Sequence[Block],
    deleted: Keys,
    recall: float,
    queries: Matrix | None = None,
) -> Tuned:
    """Choose the cheapest search parameters that reach a recall@10 over `blocks`.

    They reach it for the queries that are given, or else near vectors of the collection, by a
    margin with which as many others reach it, too. If none do, those that find most are chosen.
    """
    if queries is None:
        queries = approximate.near_vectors(structure.heads, blocks, TUNED_WITH)
    sample = Sample.of(queries, blocks, min(MEASURED, structure.rows), deleted)
    return _Sweep(structure, blocks, structure.mask(deleted), sample, recall).best()


class _Sweep:
    """A search for the cheapest of a structure's settings; each is measured at most once."""

    def __init__(
        self,
        structure: VectorIndex,
        blocks: Sequence[Block],
        mask: Mask | None,
        sample: Sample,
        asked: float,
    ) -> None:
        self._structure, self._blocks, self._mask = structure, blocks, mask
        self._sample, self._asked = sample, asked
        self._options = structure.efforts()
        self._known: dict[tuple[int, int], NDArray[np.float64]] = {}

    def best(self) -> Tuned:
        """Return the cheapest setting that reaches the recall, or the one that finds most."""
        rows, last = len(self._options), len(self._options[0]) - 1
        row = _first(rows, lambda row: self._reaches(row, last))
        if row == rows:
            return self._most()
        cheapest, chosen = np.inf, (row, last)
        while row < rows and self._cost(row, 0) < cheapest:
            column = _first(last + 1, partial(self._reaches, row))
            if column <= last and self._cost(row, column) < cheapest:
                cheapest, chosen = self._cost(row, column), (row, column)
            row += 1
        return self._tuned(*chosen)

    def _most(self) -> Tuned:
        """Return the setting with the highest recall of those measured, the cheapest of equals."""
        rows, last = len(self._options), len(self._options[0]) - 1
        self._hits(rows - 1, last)
        enough = [at for at in self._known if self._hits(*at).mean() >= self._asked]
        if enough:  # reached, but not by the margin
            return self._tuned(*min(enough, key=lambda at: self._cost(*at)))
        highest = max(hits.mean() for hits in self._known.values())
        equal = [at for at, hits in self._known.items() if hits.mean() == highest]
        return self._tuned(*min(equal, key=lambda at: self._cost(*at)))

    def _tuned(self, row: int, column: int) -> Tuned:
        search, k = self._options[row][column], self._sample.true.shape[1]
        structure = self._structure.using(search)
        latency = self._sample.latency(structure, self._blocks, k, self._mask)
        return Tuned(search, float(self._hits(row, column).mean()), latency)

    def _cost(self, row: int, column: int) -> float:
        return self._structure.cost(self._options[row][column])

    def _reaches(self, row: int, column: int) -> bool:
        return _lower_bound(self._hits(row, column), self._asked) >= self._asked

    def _hits(self, row: int, column: int) -> NDArray[np.float64]:
        at = row, column
        if at not in self._known:
            structure = self._structure.using(self._options[row][column])
            k = self._sample.true.shape[1]
            self._known[at] = self._sample.hits(structure, self._blocks, k, self._mask)
        return self._known[at]


def _first(count: int, reaches: Callable[[int], bool]) -> int:
    """Return the first number below a count for which a function is true, by bisection."""
    first, stop = 0, count
    while first < stop:
        middle = (first + stop) // 2
        if reaches(middle):
            stop = middle
        else:
            first = middle + 1
    return first


def _lower_bound(hits: NDArray[np.float64], asked: float) -> float:
    """Return a recall that the mean over as many other queries exceeds with high confidence.

    The mean less its standard error times `CONFIDENCE`; its variance is taken to be at least that
    of independent hits at the recall asked, since a few queries may all happen to be easy.
    """
    variance = max(float(hits.var()), asked * (1 - asked) / MEASURED)
    return float(hits.mean()) - CONFIDENCE * float(np.sqrt(variance / len(hits)))


def measure(
    structure: VectorIndex,
    blocks: Sequence[Block],
    deleted: Keys,
    queries: Matrix | None = None,
    depths: Sequence[int] = DEPTHS,
) -> Measured:
    """Measure a structure over the vectors that it was built over; queries as in `tune`."""
    if queries is None:
        queries = approximate.near_vectors(structure.heads, blocks, TUNED_WITH)
    sample = Sample.of(queries, blocks, min(max(depths), structure.rows), deleted)
    mask, k = structure.mask(deleted), min(MEASURED, structure.rows)
    recall = {
        depth: float(sample.hits(structure, blocks, depth, mask).mean())
        for depth in depths
        if depth <= structure.rows
    }
    latency = sample.latency(structure, blocks, k, mask)
    batches = []
    for _ in range(BATCHES):
        started = time.perf_counter()
        sample.hits(structure, blocks, k, mask)
        batches.append(time.perf_counter() - started)
    count = len(sample.queries)
    return Measured(recall, count, latency, count / max(min(batches), 1e-9))
