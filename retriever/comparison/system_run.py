"""Run one system of a comparison on all queries, as a batch."""

from __future__ import annotations

from dataclasses import dataclass, replace

from retriever.comparison.test_set import TestSet
from retriever.embedders import ReportsCoverage
from retriever.evaluation.measures import ann_recall, drop_self
from retriever.search.finders import DenseFinder
from retriever.search.results import Run
from retriever.search.retriever import Retriever


@dataclass(frozen=True)
class SystemRun:
    """Answers of one system to all queries; `exact` are those of exact search over its vectors."""

    run: Run
    exact: Run | None
    ann_recall: float | None
    query_coverage: float | None


def run_system(retriever: Retriever, test_set: TestSet) -> SystemRun:
    """Run all queries, with one extra hit each if hits that are the query are dropped."""
    first = next(iter(test_set.queries.items()))
    retriever.run(dict([first]), 1)  # opens files before the clock starts
    wanted = test_set.depth + 1 if test_set.drops else test_set.depth
    encoded, run = retriever.encode_and_run(test_set.queries, wanted)
    exact = recall = coverage = None
    finder = retriever.finder
    if isinstance(finder, DenseFinder):
        by_force = replace(retriever, finder=replace(finder, exact=True))
        exact = by_force.rank(list(test_set.queries), encoded, wanted)
        recall = ann_recall(_scores(run), _scores(exact), test_set.k)
        if isinstance(finder.embedder, ReportsCoverage):
            coverage = finder.embedder.report_queries(test_set.texts).coverage
        exact = _cut(exact, test_set)
    return SystemRun(_cut(run, test_set), exact, recall, coverage)


def import_run(run: Run, name: str, test_set: TestSet) -> Run:
    """Return an imported run under the given name, restricted to the queries of the test set."""
    ranking = {query_id: run.ranking.get(query_id, []) for query_id in test_set.queries}
    return Run(name, run.k, drop_self(ranking) if test_set.drops else ranking)


def _scores(run: Run) -> list[list[float]]:
    return [[score for _, score in hits] for hits in run.ranking.values()]


def _cut(run: Run, test_set: TestSet) -> Run:
    ranking = drop_self(run.ranking) if test_set.drops else run.ranking
    shortened = {query_id: hits[: test_set.depth] for query_id, hits in ranking.items()}
    return replace(run, k=test_set.depth, ranking=shortened)
