"""One query through several indexes: who found what, what each model knows of it, and the times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from retriever.collection import Collection
from retriever.embedders.base import ReportsCoverage, TextReport, WordCounting
from retriever.records import Record, comparison_record
from retriever.search.finders import Finder
from retriever.search.given import query_embedders
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
            "model": one.model,
            "coverage": one.report.coverage,
            "guessed": one.report.guessed,
            "truncated": bool(one.report.truncated),
            "unknown_words": list(one.unknown or ()),
        }
        for one in understood(collection.retriever(index).finder, query)
    ]


@dataclass(frozen=True)
class Understood:
    """What an embedder knows of a query; `unknown` words, each once, None if it has no words."""

    model: str
    report: TextReport
    unknown: Sequence[str] | None


def understood(finder: Finder, query: str) -> Iterator[Understood]:
    """Yield what each embedder of an index and of its parts knows of a query."""
    for _, embedder in query_embedders(finder):
        if isinstance(embedder, ReportsCoverage):
            unknown = None
            if isinstance(embedder, WordCounting):
                unknown = list(dict.fromkeys(embedder.unknown_words([query])[0]))
            yield Understood(embedder.name, embedder.report_queries([query]), unknown)
