"""The comparison as tables, one for each set, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["table"]

HEAD = (
    "recall@10 asked",
    "reached",
    "recall@1",
    "recall@100",
    "one query, p50, µs",
    "p95",
    "processor, µs",
    "queries/s in a batch",
    "... a processor second",
    "build, s",
    "... processor s",
    "MB",
)
RATIOS = {
    "batch": "in a batch",
    "batch_cpu": "... by processor time",
    "alone": "one query, p50",
    "alone_cpu": "... by processor time",
}


def table(result: Mapping[str, Any], title: str) -> str:
    """Return the systems of a set side by side, then ours against the best peer."""
    lines = [[title, *HEAD], ["---", *("---:" for _ in HEAD)]]
    lines += [_row(row) for row in result["rows"].values()]
    ratios = result["to_best_peer"]
    compared = [["ours to the best peer", *RATIOS.values(), "build", "... by processor time"]]
    compared += [["---", *("---:" for _ in compared[0][1:])]]
    for name, one in ratios.items():
        builds = [f"{one[key]:.1f}" if one[key] else "" for key in ("build", "build_cpu")]
        facts = [_ratio(one[key]) for key in RATIOS]
        compared.append([f"{name}, to {one['best_peer']}", *facts, *builds])
    return "\n".join([*map(_drawn, lines), "", *map(_drawn, compared)])


def _row(row: Mapping[str, Any]) -> list[str]:
    recall, exact = row["recall"], not row["effort"]
    chosen = ", ".join(f"{name} {value:g}" for name, value in row["effort"].items())
    return [
        f"{row['system']}{f' ({chosen})' if chosen else ''}",
        "" if exact else f"{row['asked']:.2f}",
        *(f"{recall[depth]:.3f}" for depth in ("10", "1", "100")),
        *(f"{row[fact]['median']:,.0f}" for fact in ("p50_us", "p95_us", "cpu_us")),
        *(f"{row[fact]['median']:,.0f}" for fact in ("batch_per_s", "batch_per_cpu_s")),
        *(f"{row[fact]:,.1f}" if fact in row else "" for fact in ("build_s", "build_cpu_s")),
        f"{row['bytes'] / 1e6:,.1f}",
    ]


def _ratio(spread: Mapping[str, float]) -> str:
    return f"{spread['median']:.2f} ({spread['least']:.2f} to {spread['most']:.2f})"


def _drawn(line: list[str]) -> str:
    return "| " + " | ".join(line) + " |"
