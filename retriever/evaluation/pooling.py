"""Pooling (as in TREC): collect the documents to judge first, for the most disputed queries."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice

from indexes.errors import InputError
from retriever.evaluation.rank_biased_overlap import disagreement
from retriever.evaluation.results import ComparisonResults
from retriever.formats.labels import LabelRow

# Queries in a label file by default.
DEFAULT_POOL_QUERIES = 20


def judgment_pool(
    comparison: ComparisonResults, queries: int = DEFAULT_POOL_QUERIES
) -> Iterator[LabelRow]:
    """Yield the top `k` of every system for the `queries` most disputed queries, those first.

    Judged documents are left out, and queries without any other. Within a query, documents are in
    the order of their ids: a judge should not see which system ranked what first. Fewer than two
    systems, or fewer than one query, is an `InputError`.
    """
    if queries < 1:
        raise InputError(f"The number of queries to label is {queries}; expected at least 1.")
    runs = {name: run.ranking for name, run in comparison.runs.items()}
    disputed = (query_id for query_id, _ in disagreement(runs, comparison.k))
    portions = (list(_not_judged(comparison, query_id)) for query_id in disputed)
    yield from chain.from_iterable(islice(filter(None, portions), queries))


def _not_judged(comparison: ComparisonResults, query_id: str) -> Iterator[LabelRow]:
    query = comparison.queries[query_id]
    finders: dict[str, list[str]] = {}
    for name, run in comparison.runs.items():
        for doc_id, _score in run.ranking.get(query_id, ())[: comparison.k]:
            finders.setdefault(doc_id, []).append(name)
    for doc_id in sorted(finders):
        shown = comparison.documents.get(doc_id)
        if doc_id not in query.judgments and shown:
            found_by = " ".join(finders[doc_id])
            yield LabelRow(query_id, query.text, doc_id, shown.title, shown.text, found_by)
