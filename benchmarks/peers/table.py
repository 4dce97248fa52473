"""The comparison as a table, one row per figure and one column per system."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["table"]

Row = Mapping[str, Any]
# Of a system that could not be measured in this way.
MISSING = "–"


def _median(fact: str, digits: int, factor: float = 1.0) -> Callable[[Row], str]:
    return lambda row: f"{factor * row[fact]['median']:,.{digits}f}" if fact in row else MISSING


def _spread(fact: str, digits: int) -> Callable[[Row], str]:
    return lambda row: f"{row[fact]['least']:,.{digits}f} to {row[fact]['most']:,.{digits}f}"


LINES: dict[str, Callable[[Row], str]] = {
    "searches": lambda row: row["how"],
    "recall@10": lambda row: f"{row['recall']:.3f}",
    "wrong hits or batches": lambda row: str(row["wrong"]),
    "one query, p50, ms": _median("p50_ms", 2),
    "... least and most of the rounds": _spread("p50_ms", 2),
    "one query, p95, ms": _median("p95_ms", 2),
    "with the model, p50, ms": _median("with_model_p50_ms", 2),
    "with the model, p95, ms": _median("with_model_p95_ms", 2),
    "queries a second, in a batch": _median("queries_per_second", 0),
    "... asked by eight threads": _median("by_threads_per_second", 0),
    "open and first answer, ms": _median("open_s", 1, 1000),
    "importing before that, s": _median("import_s", 2),
    "indexing, vectors given, s": _median("build_s", 2),
    "on disk, MB": lambda row: f"{row['bytes'] / 1e6:.1f}",
    "peak memory while indexing, MB": _median("peak_MB", 0),
    "... of which before it began": _median("before_MB", 0),
    "memory after the first answer, MB": _median("resident_MB", 0),
    "... of which imports": _median("imported_MB", 0),
}


def table(result: Mapping[str, Any]) -> str:
    """Return all systems side by side, in Markdown."""
    rows = result["systems"].values()
    lines = [["", *(row["name"] for row in rows)], ["---", *("---:" for _ in rows)]]
    figures = [[name, *map(show, rows)] for name, show in LINES.items()]
    lines += [line for line in figures if set(line[1:]) != {MISSING}]
    drawn = ["| " + " | ".join(line) + " |" for line in lines]
    embedding = result["embedding"]
    drawn.append(
        f"\nThe model, the same for all, embeds the documents in {embedding['documents_s']:.1f} s, "
        f"all queries in a batch in {embedding['queries_s']:.2f} s."
    )
    drawn += [f"{name} was left out: {reason}" for name, reason in result["left_out"].items()]
    return "\n".join(drawn)
