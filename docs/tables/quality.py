"""Tables of the quality of systems."""

from __future__ import annotations

from typing import Any

from docs.tables.results import certificate_line, result

COLUMNS = (
    ("nDCG@10", "nDCG@10", "{:.3f}"),
    ("recall@10", "R@10", "{:.3f}"),
    ("recall@100", "R@100", "{:.3f}"),
    ("MRR@10", "RR@10", "{:.3f}"),
    ("ann_recall@10", "ann_recall@10", "{:.3f}"),
    ("one query, ms", "query_ms", "{:.2f}"),
    ("encoding, ms", "encoding_p50_ms", "{:.3f}"),
    ("p99, ms", "total_p99_ms", "{:.2f}"),
    ("queries/s in a batch", "queries_per_second_in_a_batch", "{:,.0f}"),
    ("to build, s", "building_s", "{:.1f}"),
    ("... MB", "building_memory_bytes", "{:,.0f}"),
    ("open, MB", "open_memory_bytes", "{:,.0f}"),
    ("on disk, MB", "disk_bytes", "{:.1f}"),
)
# The deciding columns, for a short page.
SHORT = ("nDCG@10", "R@100", "query_ms", "encoding_p50_ms", "disk_bytes")
TITLES = {"scifact": "SciFact", "cranfield": "Cranfield"}


def quality_table(name: str, *, short: bool = False) -> str:
    """Return a test collection through all systems, with the provenance of the figures.

    Significant differences from BM25 are marked.
    """
    kept = result(f"quality-{name}")
    columns = [one for one in COLUMNS if not short or one[1] in SHORT]
    heads = " | ".join(label for label, _, _ in columns)
    lines = [f"| {TITLES[name]} | {heads} |", f"|---|{'---:|' * len(columns)}"]
    for system, row in kept["rows"].items():
        values = [_cell(row, key, form) for _, key, form in columns]
        lines.append(f"| {system} | {' | '.join(values)} |")
    said = (
        "▲ and ▼: significantly better and worse than bm25 (paired randomization test, p < 0.05 "
        "after Holm's correction); the others are not distinguishable from it. The time of a query "
        "is the median; that of an escalation the mean, since only some of its queries are encoded "
        "by MiniLM, and its time of encoding is without that."
    )
    return "\n".join([*lines, "", said, "", certificate_line(kept["certificate"])])


def _cell(row: dict[str, Any], key: str, form: str) -> str:
    value = row["embedding_s"] + row["indexing_s"] if key == "building_s" else row[key]
    if value is None:
        return "-"
    text = form.format(value * (1e-6 if key.endswith("_bytes") else 1))
    difference = row["differences"].get(key)
    if difference is None or not difference["significant"]:
        return text
    return f"{text} {'▲' if difference['mean'] > 0 else '▼'}"
