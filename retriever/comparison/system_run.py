"""Run one system of a comparison on all queries, as a batch."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from retriever.comparison.test_set import TestSet
from retriever.embedders import ReportsCoverage
from retriever.evaluation.inputs import RunHits
from retriever.evaluation.measures import ann_recall, drop_self, single, trec_order
from retriever.search.finders import DenseFinder
from retriever.search.queries import Queries
from retriever.search.results import Run
from retriever.search.retriever import Retriever

# Hits that tie with the last one are fetched up to this depth, or this many times a deeper one: for
# thousands of equal texts, each query would be a search for all of them.
DEEPEST, TIMES = 1_000, 4
# How many queries are answered as a batch before the clock starts: after the first, which loads
# the model, as long as they take less than these seconds.
WARMING, WARM_SECONDS = (1, 1, 32, 256), 0.1


@dataclass(frozen=True)
class SystemRun:
    """Answers of one system to all queries; `exact` are those of exact search over its vectors.

    `tied` are the queries with more equal hits at the cutoff than were put into order, `escalated`
    is how many another part answered; see `EscalatedFinder`. None of a system that does not.
    """

    run: Run
    exact: Run | None
    ann_recall: float | None
    query_coverage: float | None
    tied: tuple[str, ...]
    escalated: int | None


def run_system(retriever: Retriever, test_set: TestSet) -> SystemRun:
    """Run all queries, a little deeper than wanted: see `settle`."""
    _warm_up(retriever, test_set)
    encoded, run = retriever.encode_and_run(test_set.queries, deep_enough(test_set))
    exact = recall = coverage = None
    finder = retriever.finder
    if isinstance(finder, DenseFinder):
        by_force = replace(retriever, finder=replace(finder, exact=True))
        exact = by_force.rank(list(test_set.queries), encoded, deep_enough(test_set))
        recall = ann_recall(_scores(run), _scores(exact), test_set.k)
        if isinstance(finder.embedder, ReportsCoverage):
            coverage = finder.embedder.report_queries(test_set.texts).coverage
        exact, _ = settle(by_force, encoded, exact, test_set)
    settled, tied = settle(retriever, encoded, run, test_set)
    escalated = encoded.escalated.get(retriever.name)
    count = None if escalated is None else len(escalated[0])
    return SystemRun(settled, exact, recall, coverage, tied, count)


def _warm_up(retriever: Retriever, test_set: TestSet) -> None:
    """Do what only the first batch does, as opening files and loading modules."""
    for turn, count in enumerate(WARMING):
        started = time.perf_counter()
        retriever.run(dict(islice(test_set.queries.items(), count)), deep_enough(test_set))
        if turn and time.perf_counter() - started > WARM_SECONDS:
            break


def import_run(given: RunHits, name: str, test_set: TestSet) -> Run:
    """Return a run made elsewhere under a name, for the queries of the test set, in trec_order."""
    ranking = {query_id: given.get(query_id, []) for query_id in test_set.queries}
    return replace(Run.of(name, given), ranking=_ordered(ranking, test_set))


def deep_enough(test_set: TestSet) -> int:
    """Return how many hits show whether hits at the cutoff tie: one more, and the query itself."""
    return test_set.depth + 1 + test_set.drops


def settle(
    retriever: Retriever, encoded: Queries, run: Run, test_set: TestSet
) -> tuple[Run, tuple[str, ...]]:
    """Return a run of `deep_enough` hits in trec_order, cut to the depth of the test set.

    Of equal hits a search returns those that were added first, so the depth of a run would decide
    which of them are in it. Here all hits that tie with the last one within the depth take part in
    the order: their queries are searched deeper, until a hit has a lower score. Where more tie than
    fit into `DEEPEST` hits, or `TIMES` the depth, those that were added first take part, and the
    query is returned, too.
    """
    ranking, unsettled = {}, list[str]()
    for place, (query_id, hits) in enumerate(run.ranking.items()):
        ranking[query_id] = list(hits)
        if len(hits) == run.k:
            others = [hit for hit in hits if hit[0] != query_id or not test_set.drops]
            (least,) = single([others[test_set.depth - 1][1]])
            alone = encoded.subset([place])
            tied, all_found = _tied_beyond(retriever, query_id, alone, hits, least)
            ranking[query_id] += tied
            unsettled += () if all_found else (query_id,)
    cut = {key: hits[: test_set.depth] for key, hits in _ordered(ranking, test_set).items()}
    return replace(run, k=test_set.depth, ranking=cut), tuple(unsettled)


def _tied_beyond(
    retriever: Retriever,
    query_id: str,
    query: Queries,
    hits: Sequence[tuple[str, float]],
    least: float,
) -> tuple[list[tuple[str, float]], bool]:
    """Return the hits of one query that have the score `least` and are not among its first.

    And whether these are all.
    """
    k, deeper, deepest = len(hits), hits, deepest_for(len(hits))

    def reaches_on() -> bool:
        return len(deeper) == k and single([deeper[-1][1]]) == [least]

    while (goes_on := reaches_on()) and k < deepest:
        k = min(TIMES * k, deepest)
        deeper = retriever.rank([query_id], query, k).ranking[query_id]
    if goes_on:
        after = retriever.rank([query_id], query, k + 1).ranking[query_id][k:]
        goes_on = single([score for _, score in after]) == [least]
    found = {doc_id for doc_id, _ in hits}
    scores = single([score for _, score in deeper])
    tied = [hit for hit, score in zip(deeper, scores, strict=True) if score == least]
    return [hit for hit in tied if hit[0] not in found], not goes_on


def deepest_for(hits: int) -> int:
    """Return up to which depth hits that tie with the last of some are fetched."""
    return max(DEEPEST, TIMES * hits)


def _ordered(
    ranking: Mapping[str, Sequence[tuple[str, float]]], test_set: TestSet
) -> dict[str, list[tuple[str, float]]]:
    kept = drop_self(ranking) if test_set.drops else ranking
    return {query_id: trec_order(hits) for query_id, hits in kept.items()}


def _scores(run: Run) -> list[list[float]]:
    return [[score for _, score in hits] for hits in run.ranking.values()]
