"""What to judge first: the queries on which systems disagree most, with what each of them found."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice

from indexes.errors import InputError
from retriever.evaluation.rank_biased_overlap import disagreement
from retriever.evaluation.results import QUERIES_TO_LABEL, Comparison
from retriever.formats.labels import PooledJudgment


def judgment_pool(
    comparison: Comparison, queries: int = QUERIES_TO_LABEL
) -> Iterator[PooledJudgment]:
    """The first `k` of every system for so many queries, the most disputed query first.

    Documents that are judged already are left out, and queries with nothing else. A judge should
    not see who found what first: within a query, documents are in the order of their ids.

    Raises:
        InputError: fewer than two systems, or fewer than one query.
    """
    if queries < 1:
        raise InputError(f"The number of queries to label is {queries}; expected at least 1.")
    runs = {name: run.ranking for name, run in comparison.runs.items()}
    disputed = (query_id for query_id, _ in disagreement(runs, comparison.k))
    portions = (list(_not_judged(comparison, query_id)) for query_id in disputed)
    yield from chain.from_iterable(islice(filter(None, portions), queries))


def _not_judged(comparison: Comparison, query_id: str) -> Iterator[PooledJudgment]:
    query = comparison.queries[query_id]
    finders: dict[str, list[str]] = {}
    for name, run in comparison.runs.items():
        for doc_id, _score in run.ranking.get(query_id, ())[: comparison.k]:
            finders.setdefault(doc_id, []).append(name)
    for doc_id in sorted(finders):
        shown = comparison.documents.get(doc_id)
        if doc_id not in query.judgments and shown:
            found_by = " ".join(finders[doc_id])
            yield PooledJudgment(query_id, query.text, doc_id, shown.title, shown.text, found_by)
