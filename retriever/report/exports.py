"""Exports of a comparison: JSON lines, CSV, a pandas DataFrame."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from indexes.errors import InputError
from retriever.evaluation.results import ComparisonResults, Row
from retriever.evaluation.significance import Difference
from retriever.formats.writing import delimited_line
from retriever.report.verdict import verdict_lines


def json_lines(comparison: ComparisonResults) -> str:
    """Return one JSON object per system, one per line."""
    objects = [_object(comparison, row) for row in comparison.rows.values()]
    return "\n".join(json.dumps(one, ensure_ascii=False) for one in objects)


def csv_lines(comparison: ComparisonResults) -> str:
    """Return CSV with one line per number: `system,what,value`."""
    lines = [("system", "what", "value")]
    for row in comparison.rows.values():
        lines += [(row.name, what, f"{value}") for what, value in _numbers(comparison, row)]
    return "".join(delimited_line(cells, ",") for cells in lines).removesuffix("\n")


def data_frame(comparison: ComparisonResults) -> Any:
    """Return a DataFrame with one system per row and one number per column; needs pandas."""
    try:
        import pandas
    except ImportError:
        raise InputError("A DataFrame needs pandas. Run: pip install pandas") from None
    rows = {row.name: dict(_numbers(comparison, row)) for row in comparison.rows.values()}
    return pandas.DataFrame.from_dict(rows, orient="index")


def _object(comparison: ComparisonResults, row: Row) -> dict[str, object]:
    fields = asdict(row)
    if row.latency:
        # Thousands of numbers, needed for plots only.
        del fields["latency"]["totals"]
    fronts = comparison.fronts()
    return {
        **fields,
        "differences": _differences(row),
        "baseline": comparison.baseline,
        "verdict": _verdict(comparison),
        "on_front": [cost for cost, names in fronts.items() if row.name in names],
        "agreement": _agreement(comparison, row),
        "pairs": _pairs(comparison, row),
        "k": comparison.k,
        "queries": len(comparison.queries),
        "environment": dict(comparison.environment),
        "load": comparison.load and {**asdict(comparison.load), "busy": comparison.load.is_busy},
    }


def _verdict(comparison: ComparisonResults) -> dict[str, object] | None:
    found = comparison.verdict
    if found is None:
        return None
    return {
        "answer": found.answer,
        "best": found.best,
        "enough": found.enough,
        "without": found.without,
        "difference": found.difference and _tested(found.difference),
        "lost": found.lost and _tested(found.lost),
        "lines": verdict_lines(comparison),
    }


def _agreement(comparison: ComparisonResults, row: Row) -> dict[str, dict[str, float]]:
    others = (other for other in comparison.rows if other != row.name)
    return {other: asdict(comparison.agreement(row.name, other)) for other in others}


def _differences(row: Row) -> dict[str, dict[str, Any]]:
    return {measure: _tested(one) for measure, one in row.differences.items()}


def _pairs(comparison: ComparisonResults, row: Row) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the pairs of which a system is the first, by the second and by measure."""
    return {
        b: {measure: _tested(one) for measure, one in found.items()}
        for (a, b), found in comparison.pairs.items()
        if a == row.name
    }


def _tested(difference: Difference) -> dict[str, Any]:
    return {**asdict(difference), "significant": difference.significant}


def _numbers(comparison: ComparisonResults, row: Row) -> Iterator[tuple[str, float | int | bool]]:
    """Yield every known number of a system under a dotted name."""
    known = {
        "quality": row.quality,
        "exact_quality": row.exact_quality,
        "difference": _differences(row),
        f"ann_recall@{comparison.k}": row.ann_recall,
        f"judged@{comparison.k}": row.judged_share,
        "throughput": row.throughput,
        "query_coverage": row.query_coverage,
        "corpus_coverage": row.corpus_coverage,
    }
    yield from _flat("", known)
    if row.latency:
        steps = asdict(row.latency)
        del steps["totals"]
        yield from _flat("latency_ms", steps)
    if row.cost:
        yield from _flat("cost", asdict(row.cost))
    for cost, names in comparison.fronts().items():
        yield f"on_front.{cost}", row.name in names
    yield from _flat("agreement", _agreement(comparison, row))
    yield from _flat("pairs", _pairs(comparison, row))


def _flat(name: str, values: Any) -> Iterator[tuple[str, Any]]:
    if hasattr(values, "items"):
        for key, value in values.items():
            yield from _flat(f"{name}.{key}" if name else key, value)
    elif values is not None:
        yield name, values
