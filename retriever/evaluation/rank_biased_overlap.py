"""Rank-biased overlap: top-weighted similarity of rankings."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate, combinations

from indexes.errors import InputError
from retriever.evaluation.inputs import RunHits
from retriever.evaluation.measures import mean


def rank_biased_overlap(a: Sequence[str], b: Sequence[str], *, p: float = 0.9) -> float:
    """Return the similarity of two ranked lists of doc ids: 1 for equal lists, 0 for disjoint ones.

    This is the extrapolated RBO of Webber, Moffat and Zobel, "A similarity measure for indefinite
    rankings", TOIS 2010, equation 32: the overlap down to each depth, averaged over depths with
    weights that fall by `p`. With 0.9 the top 10 hold 86 % of the weight. Agreement below the end
    of a list is extrapolated from above it, so a list and its own prefix have similarity 1. Ties
    are not handled: the order is as given. Two empty lists give 1; an empty and another give 0.

    Raises:
        InputError: `p` is not between 0 and 1; a list has a document twice.
    """
    if not 0 < p < 1:
        raise InputError(f"p is {p}; expected a number between 0 and 1.")
    shorter, longer = sorted((_distinct(a), _distinct(b)), key=len)
    if not shorter:
        return 0.0 if longer else 1.0
    shares = _shares_by_depth(shorter, longer)
    # Sum from the deepest term up, so that equal shares give that share without rounding.
    value = shares[-1]
    for share in reversed(shares):
        value = share + p * (value - share)
    return value


def mean_rbo(run_a: RunHits, run_b: RunHits, *, p: float = 0.9) -> float:
    """Return the `rank_biased_overlap` of two runs, averaged over the queries of both.

    Hits are in the given order, best first. A query without hits in one run scores zero; one
    without hits in both is left out. Returns 0 if no query is left.
    """
    similarities = {
        query_id: rank_biased_overlap(_top(run_a, query_id), _top(run_b, query_id), p=p)
        for query_id in {**run_a, **run_b}
        if len(run_a.get(query_id, ())) or len(run_b.get(query_id, ()))
    }
    return mean(similarities) if similarities else 0.0


def disagreement(runs: Mapping[str, RunHits], k: int) -> list[tuple[str, float]]:
    """Return each query with the disagreement of the systems on it, most disputed first.

    `runs` maps a system's name to its run. Disagreement is 1 minus the `rank_biased_overlap` of the
    top `k`, with its default `p`, averaged over all pairs of systems: 0 if all agree, 1 if no two
    share a document. Ties keep the order in which the runs, one after the other, list the queries.
    A query without hits in any run is left out.

    Raises:
        InputError: fewer than two runs; `k` is less than 1; a document occurs twice for a query.
    """
    if k < 1:
        raise InputError(f"k is {k}; expected at least 1.")
    if len(runs) < 2:
        raise InputError(f"Systems to compare: {len(runs)}; expected at least 2.")
    query_ids = dict.fromkeys(query_id for run in runs.values() for query_id in run)
    found = []
    for query_id in query_ids:
        tops = [_top(run, query_id, k) for run in runs.values()]
        if any(tops):
            similarities = [rank_biased_overlap(a, b) for a, b in combinations(tops, 2)]
            found.append((query_id, 1 - math.fsum(similarities) / len(similarities)))
    return sorted(found, key=lambda pair: -pair[1])


def _top(run: RunHits, query_id: str, k: int | None = None) -> list[str]:
    return [doc_id for doc_id, _ in run.get(query_id, ())[:k]]


def _distinct(doc_ids: Sequence[str]) -> Sequence[str]:
    if len(set(doc_ids)) < len(doc_ids):
        twice = next(doc_id for doc_id, times in Counter(doc_ids).items() if times > 1)
        raise InputError(f"Document '{twice}' occurs twice in a ranking; expected once.")
    return doc_ids


def _shares_by_depth(shorter: Sequence[str], longer: Sequence[str]) -> list[float]:
    """Return the overlap down to depth 1, 2, and so on, to the end of the longer list.

    Below the end of the shorter list its overlap is extrapolated: each further document counts as
    found with the share that both have in common at that end.
    """
    places = {doc_id: depth for depth, doc_id in enumerate(shorter, 1)}
    met = Counter(max(d, places[doc]) for d, doc in enumerate(longer, 1) if doc in places)
    common = list(accumulate(met[depth] for depth in range(1, len(longer) + 1)))
    end = len(shorter)
    return [
        (number + common[end - 1] * max(0, depth - end) / end) / depth
        for depth, number in enumerate(common, 1)
    ]
