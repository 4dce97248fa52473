"""Significance tests of systems against a baseline, over queries."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from indexes.errors import InputError, check_seed

ALPHA = 0.05
POWER = 0.8
SEED = 20240517
RESAMPLES = 10_000
FLIPS = 100_000
# Up to this many queries, all 2^n sign patterns are fewer than FLIPS, so p is exact.
ALL_PATTERNS = 16
# Rounding differences of a measure are smaller than this.
TIE = 1e-9
# Rounding difference of float sums, relative to the sum of absolute values.
NOISE = 1e-12
# Numbers in one block of resamples or flips: 2 MiB, which fits a core's cache.
BLOCK = 2**18

Block = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """Difference of a system from the baseline in one measure, over the same queries.

    Attributes:
        mean: system minus baseline, averaged over the queries; 0 if there are none.
        low: lower end of the 95 % interval of `mean`, by the paired percentile bootstrap.
        high: its upper end. Neither is corrected for the number of systems, so the interval of a
            difference that is not `significant` may be without 0.
        p: two-sided, from the paired randomization test; 1 for fewer than 2 queries.
        p_holm: `p` after Holm's correction over the systems compared with that baseline.
        wins: queries on which the system is better by 1e-9 or more.
        ties: queries on which the two differ by less.
        losses: queries on which the baseline is better.
        queries: number of queries: wins, ties and losses together.
        queries_needed: number of queries needed to detect a difference like this one, see
            `differences`; None if `mean` is less than 1e-9 or there are fewer than 2 queries.
    """

    mean: float
    low: float
    high: float
    p: float
    p_holm: float
    wins: int
    ties: int
    losses: int
    queries: int
    queries_needed: int | None

    @property
    def significant(self) -> bool:
        """True if the corrected p is less than 0.05."""
        return self.p_holm < ALPHA


def differences(
    baseline: Mapping[str, float], systems: Mapping[str, Mapping[str, float]], *, seed: int = SEED
) -> dict[str, Difference]:
    """Return the difference of each system from `baseline`, in the order of `systems`.

    Maps are query_id -> value of one measure, higher is better. All systems get the same resampled
    queries and the same flips, which depend only on `seed` and the number of queries: neither the
    order of the queries nor the other systems change a system's interval and p. Swapping system and
    baseline changes only the signs.

    The interval is the percentile bootstrap's (Efron, "Bootstrap methods", 1979) over 10,000
    resamples: the 250th mean from below and from above, as in Efron and Tibshirani, "An
    Introduction to the Bootstrap", 1993, section 12.5.

    p is that of Fisher's randomization test as in Smucker, Allan and Carterette, "A comparison of
    statistical significance tests for information retrieval evaluation", CIKM 2007: the share of
    sign flips with a mean at least as far from 0. Up to 16 queries all flips are counted; beyond
    that 100,000 are drawn, and with the observed one added, p = (1 + as far) / (1 + 100,000).

    `queries_needed` is ((z(1 - 0.025 / m) + z(0.8)) * sd / mean)^2, rounded up, with the observed
    mean and standard deviation (n - 1) of the differences, and m by which Holm's correction
    multiplies this p: the normal approximation to the sample size of a paired, two-sided test with
    power 0.8 at 0.05 / m (Cohen, "Statistical Power Analysis", 1988; for topics Sakai, "Laboratory
    Experiments in Information Retrieval", 2018). It is at least `fewest_queries(m)`,
    and more than these queries where they do not show the difference. It assumes that the observed
    difference is the true one: use it to plan the next test set, not to judge this one.

    Raises:
        InputError: a system and the baseline do not have the same queries; a value is not
            finite; `seed` is negative.
    """
    check_seed(seed)
    for name, values in systems.items():
        _check_queries(name, values, baseline)
    query_ids = sorted(baseline)
    before = _column("The baseline", baseline, query_ids)
    rows = [_column(f"System '{name}'", systems[name], query_ids) - before for name in systems]
    return dict(zip(systems, _tested(rows, len(query_ids), seed), strict=True))


def all_pairs(
    systems: Mapping[str, Mapping[str, float]], *, seed: int = SEED
) -> dict[tuple[str, str], Difference]:
    """Return the difference of each two systems, the first minus the second, in their order.

    As in `differences`, but p is corrected over all pairs.

    Raises:
        InputError: as in `differences`; fewer than two systems.
    """
    check_seed(seed)
    if len(systems) < 2:
        raise InputError("Pairs need at least two systems.")
    first = next(iter(systems.values()))
    for name, values in systems.items():
        _check_queries(name, values, first)
    query_ids = sorted(first)
    columns = {name: _column(f"System '{name}'", of, query_ids) for name, of in systems.items()}
    pairs = list(combinations(systems, 2))
    rows = [columns[a] - columns[b] for a, b in pairs]
    return dict(zip(pairs, _tested(rows, len(query_ids), seed), strict=True))


def _tested(rows: Sequence[Block], queries: int, seed: int) -> list[Difference]:
    """Return the differences of rows, with p corrected over all of them."""
    p_values = _p_values(rows, queries, seed)
    intervals, corrected = _intervals(rows, queries, seed), holm(p_values)
    return list(map(_difference, rows, intervals, p_values, corrected, _factors(p_values)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return `p_values` after Holm's correction, in the given order.

    Holm, "A simple sequentially rejective multiple test procedure", 1979: of m, the smallest is
    multiplied by m, the next by m - 1, and so on; results are monotonic and at most 1.
    """
    corrected, factors = [1.0] * len(p_values), _factors(p_values)
    least = 0.0
    for place in sorted(range(len(p_values)), key=p_values.__getitem__):
        least = max(least, min(1.0, p_values[place] * factors[place]))
        corrected[place] = least
    return corrected


def _factors(p_values: Sequence[float]) -> list[int]:
    """Return what each p is multiplied by: the number of those that are not smaller."""
    ascending = sorted(p_values)
    return [len(p_values) - bisect_left(ascending, p) for p in p_values]


def fewest_queries(comparisons: int) -> int:
    """Return with how few queries one of some differences can be significant at all.

    With n queries, up to 16, the smallest p is 2 / 2^n, and Holm's correction multiplies it by the
    number of comparisons: a single one takes 6 queries, eight take 9.
    """
    return math.floor(math.log2(2 * max(comparisons, 1) / ALPHA)) + 1


def _check_queries(name: str, values: Mapping[str, float], baseline: Mapping[str, float]) -> None:
    for query_id in baseline:
        if query_id not in values:
            lacks = f"System '{name}' has no value for query '{query_id}'"
            raise InputError(f"{lacks}; expected the queries of the baseline.")
    for query_id in values:
        if query_id not in baseline:
            lacks = f"The baseline has no value for query '{query_id}'"
            raise InputError(f"{lacks}; expected the queries of system '{name}'.")


def _column(side: str, values: Mapping[str, float], query_ids: Sequence[str]) -> Block:
    column = np.array([values[query_id] for query_id in query_ids], dtype=np.float64)
    for place in np.flatnonzero(~np.isfinite(column))[:1]:
        got = f"{side} has the value {column[place]} for query '{query_ids[place]}'"
        raise InputError(f"{got}; expected a finite number.")
    return column


def _difference(
    row: Block, interval: tuple[float, float], p: float, p_holm: float, factor: int
) -> Difference:
    wins, losses = int(np.sum(row >= TIE)), int(np.sum(row <= -TIE))
    low, high = interval
    return Difference(
        mean=math.fsum(row) / max(row.size, 1),
        low=low,
        high=high,
        p=p,
        p_holm=p_holm,
        wins=wins,
        ties=row.size - wins - losses,
        losses=losses,
        queries=row.size,
        queries_needed=_queries_needed(row, factor, shown=p_holm < ALPHA),
    )


def _intervals(rows: Sequence[Block], queries: int, seed: int) -> list[tuple[float, float]]:
    if not queries:
        return [(0.0, 0.0)] * len(rows)
    means = np.empty((len(rows), RESAMPLES))
    done = 0
    for counts in _resamples(queries, seed):
        # One product per system: a joint one would round differently for more systems.
        for mean, row in zip(means, rows, strict=True):
            mean[done : done + len(counts)] = counts @ row / queries
        done += len(counts)
    means.sort(axis=1)
    beyond = int((RESAMPLES + 1) * ALPHA / 2)
    return [(float(mean[beyond - 1]), float(mean[-beyond])) for mean in means]


def _p_values(rows: Sequence[Block], queries: int, seed: int) -> list[float]:
    sums = [math.fsum(row) for row in rows]
    reached = [abs(s) - NOISE * math.fsum(abs(row)) for s, row in zip(sums, rows, strict=True)]
    as_far = [0] * len(rows)
    drawn = 0
    for kept in _patterns(queries, seed):
        drawn += len(kept)
        for i, row in enumerate(rows):
            # With 1 for a kept sign and 0 for a flipped one, the sum is kept less flipped.
            as_far[i] += int(np.count_nonzero(abs(2 * (kept @ row) - sums[i]) >= reached[i]))
    observed = 0 if queries <= ALL_PATTERNS else 1
    return [(count + observed) / (drawn + observed) for count in as_far]


def _resamples(queries: int, seed: int) -> Iterator[Block]:
    """Yield how often each resample (row) draws each query (column), in blocks."""
    draw = np.random.default_rng([seed, 0])
    for rows in _block_sizes(RESAMPLES, queries):
        drawn = draw.integers(queries, size=(rows, queries))
        drawn += np.arange(rows)[:, np.newaxis] * queries
        counts = np.bincount(drawn.ravel(), minlength=rows * queries)
        yield counts.reshape(rows, queries).astype(np.float64)


def _patterns(queries: int, seed: int) -> Iterator[Block]:
    """Yield the signs that each pattern (row) keeps (1) or flips (0): all patterns if few."""
    if queries <= ALL_PATTERNS:
        every = np.arange(2**queries)[:, np.newaxis] >> np.arange(queries)
        yield (every & 1).astype(np.float64)
        return
    draw = np.random.default_rng([seed, 1])
    width = -(-queries // 8)
    for rows in _block_sizes(FLIPS, queries):
        drawn = np.frombuffer(draw.bytes(rows * width), dtype=np.uint8).reshape(rows, width)
        yield np.unpackbits(drawn, axis=1, count=queries).astype(np.float64)


def _block_sizes(rows: int, width: int) -> Iterator[int]:
    most = max(1, BLOCK // width)
    for start in range(0, rows, most):
        yield min(most, rows - start)


def _queries_needed(row: Block, factor: int, *, shown: bool) -> int | None:
    if row.size < 2:
        return None
    mean = abs(math.fsum(row) / row.size)
    if mean < TIE:
        return None
    normal = NormalDist()
    z = normal.inv_cdf(1 - ALPHA / 2 / factor) + normal.inv_cdf(POWER)
    estimate = math.ceil((z * float(row.std(ddof=1)) / mean) ** 2)
    return max(fewest_queries(factor), estimate, 0 if shown else row.size + 1)
