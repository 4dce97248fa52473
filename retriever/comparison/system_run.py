"""One system of a comparison, asked all queries as a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from retriever.comparison.test_set import TestSet
from retriever.embedders import Embedder, ReportsCoverage
from retriever.evaluation.measures import ann_recall, drop_self
from retriever.formatting import many, some
from retriever.search.finders import DenseFinder
from retriever.search.results import Run
from retriever.search.retriever import Retriever


@dataclass(frozen=True)
class SystemRun:
    """What one system answered to all queries as a batch; `exact` is what its vectors could."""

    retriever: Retriever
    run: Run
    exact: Run | None
    ann_recall: float | None
    query_coverage: float | None


def run_system(retriever: Retriever, asked: TestSet) -> SystemRun:
    """Ask all queries; for one hit more each, in case one is the query itself."""
    first = next(iter(asked.queries.items()))
    retriever.run(dict([first]), 1)  # opens files before the clock
    wanted = asked.depth + 1 if asked.drops else asked.depth
    encoded, run = retriever.encode_and_run(asked.queries, wanted)
    exact = recall = coverage = None
    finder = retriever.finder
    if isinstance(finder, DenseFinder):
        by_force = replace(retriever, finder=replace(finder, exact=True))
        exact = by_force.rank(list(asked.queries), encoded, wanted)
        recall = ann_recall(_scores(run), _scores(exact), asked.k)
        coverage = _coverage(finder.embedder, asked.texts)
        exact = _cut(exact, asked)
    return SystemRun(retriever, _cut(run, asked), exact, recall, coverage)


def self_notes(asked: TestSet) -> list[str]:
    """A note on documents that were judged for a query of the same id, and are not counted."""
    if not asked.drops:
        return []
    judged = [q for q, grades in asked.qrels.items() if grades.get(q, 0) > 0]
    if not judged:
        return []
    queries = many(len(judged), "query", "queries")
    return [
        f"A document of the query's own id is judged relevant for {queries} and left out of the "
        f"hits, as if it were the query: {some(judged)}. Where it is another, use --keep-self "
        "(keep_self=True)."
    ]


def import_run(run: Run, name: str, asked: TestSet) -> Run:
    """A run from elsewhere, for the queries that are asked, under the name it was given."""
    ranking = {query_id: run.ranking.get(query_id, []) for query_id in asked.queries}
    return Run(name, run.k, drop_self(ranking) if asked.drops else ranking)


def unanswered_notes(run: Run) -> list[str]:
    """A note on the queries for which a run has nothing, where there are any."""
    silent = [query_id for query_id, hits in run.ranking.items() if not hits]
    if not silent:
        return []
    queries = many(len(silent), "query", "queries")
    return [f"Run '{run.name}' has no hits for {queries}, which count 0: {some(silent)}."]


def _scores(run: Run) -> list[list[float]]:
    return [[score for _, score in hits] for hits in run.ranking.values()]


def _cut(run: Run, asked: TestSet) -> Run:
    ranking = drop_self(run.ranking) if asked.drops else run.ranking
    shortened = {query_id: hits[: asked.depth] for query_id, hits in ranking.items()}
    return replace(run, k=asked.depth, ranking=shortened)


def _coverage(embedder: Embedder, texts: Sequence[str]) -> float | None:
    return (
        embedder.report_queries(texts).coverage if isinstance(embedder, ReportsCoverage) else None
    )
