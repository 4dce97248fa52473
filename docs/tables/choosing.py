"""The table of docs/which.md: what each way to search finds and costs, on two collections."""

from __future__ import annotations

from typing import Any

from docs.tables.quality import TITLES
from docs.tables.results import certificate_line, result

# By the name in the benchmark: what it is, and the command that builds it.
SYSTEMS = {
    "bm25": ("BM25", "--lexical"),
    "glove": ("static, GloVe", "--embedder static:glove-6b-50d"),
    "glove-auto": (
        "static, weighted",
        "--embedder static:glove-6b-50d -o weighting auto",
    ),
    "student": ("static, distilled", "distill ... --teacher minilm"),
    "fast": (
        "contextual documents, distilled queries",
        "--vectors minilm --queries-by student",
    ),
    "minilm": ("contextual, MiniLM", "--embedder contextual:all-MiniLM-L6-v2"),
    "minilm-int8": ("contextual, 8 bits", "... -o precision int8"),
    "fused-fast": ("BM25 + fast", "--fuse bm25=0.4 --fuse fast=0.6 --method convex"),
    "escalated": ("BM25 + fast, MiniLM if unsure", "--escalate fused-fast --to fused"),
    "fused": ("BM25 + MiniLM", "--fuse bm25=0.4 --fuse minilm=0.6 --method convex"),
}
MEASURE = "nDCG@10"
BASELINE = "bm25"


def _kept() -> dict[str, Any]:
    return {name: result(f"quality-{name}") for name in TITLES}


def choosing_table() -> str:
    """Return the systems with their quality on each collection, and their costs on the first."""
    kept = _kept()
    first = next(iter(kept.values()))["rows"]
    heads = [*(f"{title}, {MEASURE}" for title in TITLES.values()), "one query, ms", "to build, s"]
    lines = [
        f"| | {' | '.join(heads)} | on disk, MB | `retriever build library NAME` |",
        f"|---|{'---:|' * (len(heads) + 1)}---|",
    ]
    for name, (title, command) in SYSTEMS.items():
        row = first[name]
        cells = [_quality(one["rows"][name]) for one in kept.values()]
        cells += [f"{row['query_ms']:.2f}", f"{row['embedding_s'] + row['indexing_s']:.1f}"]
        cells.append(f"{row['disk_bytes'] / 1e6:.1f}")
        lines.append(f"| {title} | {' | '.join(cells)} | `{command}` |")
    said = (
        f"▲ and ▼: significantly better and worse than BM25; costs are those on "
        f"{next(iter(TITLES.values()))}, with the distillation. The time of a query is the median, "
        "where MiniLM answers only some the mean."
    )
    lines += ["", said]
    for one in kept.values():
        lines += ["", certificate_line(one["certificate"])]
    return "\n".join(lines)


def _quality(row: dict[str, Any]) -> str:
    difference = row["differences"].get(MEASURE)
    mark = ""
    if difference and difference["significant"]:
        mark = " ▲" if difference["mean"] > 0 else " ▼"
    return f"{row[MEASURE]:.3f}{mark}"


def verdict() -> str:
    """Return in words what holds on all of the collections, by the tests of significance."""
    rows = [one["rows"] for one in _kept().values()]

    def those(*wanted: str) -> str:
        names = [
            title
            for name, (title, _) in SYSTEMS.items()
            if name != BASELINE and all(_verdict(one[name]) in wanted for one in rows)
        ]
        return ", ".join(f"*{name}*" for name in names) or "none"

    def share(system: str) -> str:
        shares = [100 * one[system]["query_ms"] / one["fused"]["query_ms"] for one in rows]
        return f"{min(shares):.0f} to {max(shares):.0f} %"

    return (
        f"On both collections, better than BM25: {those('better')}. Worse on both: "
        f"{those('worse')}. The others differ from it on one at most. Of the time of a query "
        f"through BM25 + MiniLM, one through BM25 + fast takes {share('fused-fast')}, and one "
        f"where MiniLM is asked only if that is unsure {share('escalated')}."
    )


def _verdict(row: dict[str, Any]) -> str:
    difference = row["differences"][MEASURE]
    if not difference["significant"]:
        return "same"
    return "better" if difference["mean"] > 0 else "worse"
