"""JSON data of the query explorer: every query with its values, ranks and hits."""

from __future__ import annotations

import json
import math
from typing import Any

from retriever.evaluation.results import ComparisonResults, Excerpt, Query
from retriever.report.html.thumbnails import Thumbnails
from retriever.report.lines import label_of


def explorer_json(comparison: ComparisonResults, thumbnails: Thumbnails) -> str:
    r"""Return the explorer's data as JSON that is safe in a `<script>` element.

    `<`, `>` and `&` are written as `\u003c` and so on, so no document can end the element.
    """
    data = json.dumps(_data(comparison, thumbnails), separators=(",", ":"), allow_nan=False)
    return data.translate({ord(c): f"\\u{ord(c):04x}" for c in "<>&"})


def _data(comparison: ComparisonResults, thumbnails: Thumbnails) -> dict[str, Any]:
    numbers = {doc_id: at for at, doc_id in enumerate(shown_documents(comparison))}
    missed = set(comparison.missed())
    excerpts = [(doc_id, comparison.documents.get(doc_id, Excerpt("", ""))) for doc_id in numbers]
    return {
        "k": comparison.k,
        "judged": comparison.judged,
        "measures": [label_of(name) for name in comparison.measures] if comparison.judged else [],
        "systems": [{"name": row.name, "family": row.family} for row in comparison.rows.values()],
        "pair": comparison.default_pair(),
        "documents": [[doc_id, excerpt.title, excerpt.text] for doc_id, excerpt in excerpts],
        "images": {numbers[doc_id]: shown for doc_id, shown in thumbnails.documents.items()},
        "queries": [
            _query(comparison, query, numbers, query.query_id in missed)
            | {"image": thumbnails.queries.get(query.query_id)}
            for query in comparison.queries.values()
        ],
    }


def shown_documents(comparison: ComparisonResults) -> dict[str, None]:
    """Return the ids of all relevant or retrieved documents, each once, in order."""
    found: dict[str, None] = {}
    for query_id, query in comparison.queries.items():
        found.update(dict.fromkeys(d for d, grade in query.judgments.items() if grade > 0))
        for run in comparison.runs.values():
            found.update(dict.fromkeys(d for d, _ in run.ranking.get(query_id, ())[: comparison.k]))
    return found


def _query(
    comparison: ComparisonResults, query: Query, numbers: dict[str, int], missed: bool
) -> dict[str, Any]:
    """Return a query with `values` by measure and system, `ranks` and `hits` by system."""
    names = list(comparison.rows)
    ranks = comparison.ranks(query.query_id) if comparison.judged else {}
    rankings = [comparison.runs[n].ranking.get(query.query_id, ()) for n in names]
    return {
        "id": query.query_id,
        "text": query.text,
        "missed": missed,
        "matched": sorted(query.matched),
        "unknown": [[name, list(words)] for name, words in query.unknown.items() if words],
        "values": [
            [_number(comparison.per_query[n].get(measure, {}).get(query.query_id)) for n in names]
            for measure in (comparison.measures if comparison.judged else ())
        ],
        "ranks": [
            [numbers[doc_id], query.judgments[doc_id], [by_system.get(n) for n in names]]
            for doc_id, by_system in ranks.items()
        ],
        "hits": [
            [[numbers[doc_id], _number(score)] for doc_id, score in ranking[: comparison.k]]
            for ranking in rankings
        ],
    }


def _number(value: float | None) -> float | None:
    """Round to five significant digits; None for what JSON cannot hold."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.5g}")
