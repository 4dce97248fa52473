"""How alike two rankings are when the top counts most: rank-biased overlap."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate, combinations

from indexes.errors import InputError
from retriever.evaluation.measures import RunHits, mean


def rank_biased_overlap(a: Sequence[str], b: Sequence[str], *, p: float = 0.9) -> float:
    """How alike two ranked lists of doc ids are: 1 for the same order, 0 for nothing in common.

    This is the extrapolated RBO of Webber, Moffat and Zobel, "A similarity measure for indefinite
    rankings", TOIS 2010, equation 32: the share that two lists have in common down to each depth,
    averaged over depths with weights that fall by `p`. With 0.9 the top 10 hold 86 % of the weight.
    What lies below the end of a list is taken to agree as much as what lies above it, so a list
    and its own beginning are alike with 1. Ties are not treated: the order is as given. Two empty
    lists are the same; an empty one and another have nothing in common.

    Raises:
        InputError: `p` is not between 0 and 1; a document comes twice in a list.
    """
    if not 0 < p < 1:
        raise InputError(f"p is {p}; expected a number between 0 and 1.")
    shorter, longer = sorted((_distinct(a), _distinct(b)), key=len)
    if not shorter:
        return 0.0 if longer else 1.0
    shares = _shares_by_depth(shorter, longer)
    # The sum from the deepest term up, so that equal shares give that share without rounding.
    value = shares[-1]
    for share in reversed(shares):
        value = share + p * (value - share)
    return value


def mean_rbo(run_a: RunHits, run_b: RunHits, *, p: float = 0.9) -> float:
    """`rank_biased_overlap` of two runs, averaged over the queries of both.

    The order of hits is as given, best first. A query that one run did not answer scores zero. One
    that neither answered is left out; 0 if no query is left.

    Raises:
        InputError: as `rank_biased_overlap`.
    """
    alike = {
        query_id: rank_biased_overlap(_top(run_a, query_id), _top(run_b, query_id), p=p)
        for query_id in {**run_a, **run_b}
        if len(run_a.get(query_id, ())) or len(run_b.get(query_id, ()))
    }
    return mean(alike) if alike else 0.0


def disagreement(runs: Mapping[str, RunHits], k: int) -> list[tuple[str, float]]:
    """Each query with how much the systems disagree on it, the most disputed first.

    `runs` maps a system's name to its run. The number is 1 less the `rank_biased_overlap` of the
    top `k`, with its default `p`, averaged over all pairs of systems: 0 where all agree, 1 where no
    two have a document in common. Equal ones stay in the order in which the runs, one after the
    other, name the queries. A query that no system answered is left out.

    Raises:
        InputError: there are fewer than two runs; `k` is less than 1; a document comes twice for
            one query.
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
            found.append((query_id, _disagreement(tops)))
    return sorted(found, key=lambda pair: -pair[1])


def _disagreement(tops: Sequence[Sequence[str]]) -> float:
    alike = [rank_biased_overlap(a, b) for a, b in combinations(tops, 2)]
    return 1 - math.fsum(alike) / len(alike)


def _top(run: RunHits, query_id: str, k: int | None = None) -> list[str]:
    return [doc_id for doc_id, _ in run.get(query_id, ())[:k]]


def _distinct(doc_ids: Sequence[str]) -> Sequence[str]:
    if len(set(doc_ids)) < len(doc_ids):
        twice = next(doc_id for doc_id, times in Counter(doc_ids).items() if times > 1)
        raise InputError(f"Document '{twice}' comes twice in a ranking; expected each once.")
    return doc_ids


def _shares_by_depth(shorter: Sequence[str], longer: Sequence[str]) -> list[float]:
    """The share in common down to depth 1, 2, and so on, to the end of the longer list.

    Below its end the shorter list is taken to go on as it was: of each further document, the
    share that both had in common at that end counts as found.
    """
    places = {doc_id: depth for depth, doc_id in enumerate(shorter, 1)}
    met = Counter(max(d, places[doc]) for d, doc in enumerate(longer, 1) if doc in places)
    common = list(accumulate(met[depth] for depth in range(1, len(longer) + 1)))
    end = len(shorter)
    return [
        (number + common[end - 1] * max(0, depth - end) / end) / depth
        for depth, number in enumerate(common, 1)
    ]
