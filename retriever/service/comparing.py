"""One query through several indexes: who found what, what each model knows of it, and the times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from retriever.collection import Collection
from retriever.embedders.base import Embedder, ReportsCoverage, WordCounting
from retriever.records import Record, comparison_record
from retriever.search.finders import DenseFinder, Finder
from retriever.search.options import SearchOptions
from retriever.search.where import Where
from retriever.service.answering import Shown, answer_many, answer_record


def compared(
    collection: Collection,
    indexes: Sequence[str],
    query: str,
    k: int,
    where: Where | None,
    options: SearchOptions,
    shown: Shown,
) -> Record:
    """Return the answers of indexes to a query, and their comparison.

    Each answer has the `seconds` of its stages, and what the models `know` of the query: the share
    of known words, unknown words, and tokens that were cut off. Errors as in `Collection.search`.
    """
    answers, records = {}, []
    for index in indexes:
        (hits,), timing = answer_many(collection, index, [query], k, where, options)
        answers[index] = hits
        record = answer_record(collection, "", query, index, hits, shown)
        seconds = {**asdict(timing), "total": timing.total}
        records.append({**record, "seconds": seconds, "knows": knowledge(collection, index, query)})
    return {"query": query, "answers": records, **comparison_record(answers, k)}


def knowledge(collection: Collection, index: str, query: str) -> list[dict[str, Any]]:
    """Return what each model of an index knows of a query; nothing for BM25."""
    return [
        {
            "model": name,
            "coverage": report.coverage,
            "guessed": report.guessed,
            "truncated": bool(report.truncated),
            "unknown_words": _unknown(embedder, query),
        }
        for name, embedder in embedders(collection.retriever(index).finder)
        if isinstance(embedder, ReportsCoverage)
        for report in (embedder.report_queries([query]),)
    ]


def _unknown(embedder: object, query: str) -> list[str]:
    if not isinstance(embedder, WordCounting):
        return []
    return list(dict.fromkeys(embedder.unknown_words([query])[0]))


def embedders(finder: Finder) -> Iterator[tuple[str, Embedder]]:
    """Yield the embedders of queries of an index and of its parts, each after its name."""
    if isinstance(finder, DenseFinder):
        yield finder.embedder.name, finder.embedder
    for part in getattr(finder, "parts", ()):
        yield from embedders(part)
