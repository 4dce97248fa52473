"""The quality of every system on SciFact and Cranfield: `python -m benchmarks.quality`.

Needs RETRIEVER_DATA. Writes `results/quality-NAME.json`, the report page `results/NAME.html`, and
with Chromium a picture of it, `results/scifact.png`. The collections are kept in `.cache/`, so that
only the first run embeds the documents (some minutes for MiniLM on two cores) and distils.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.certificate import (
    RESULTS,
    certificate,
    checksum,
    collection_folder,
    data_folder,
    save,
)
from retriever import Collection, Comparison, compare, read_qrels, read_queries
from retriever.cli import cli

# How each system is built: a command, and what follows `LIBRARY NAME`.
RECIPES = {
    "hashing": ("build", "--embedder", "hashing"),
    "glove": ("build", "--embedder", "static:glove-6b-50d"),
    "glove-auto": ("build", "--embedder", "static:glove-6b-50d", "-o", "weighting", "auto"),
    "minilm": ("build", "--embedder", "contextual:all-MiniLM-L6-v2"),
    "minilm-int8": (
        *("build", "--embedder", "contextual:all-MiniLM-L6-v2"),
        *("-o", "precision", "int8"),
    ),
    "minilm-hnsw": ("build", "--vectors", "minilm", "--ann", "HNSW32"),
    "student": ("distill", "--teacher", "minilm"),
    "fast": ("build", "--vectors", "minilm", "--queries-by", "student"),
    "bm25": ("build", "--lexical"),
    "fused": (
        *("build", "--fuse", "bm25=0.4", "--fuse", "minilm=0.6"),
        *("--method", "convex"),
    ),
    "fused-fast": (
        *("build", "--fuse", "bm25=0.4", "--fuse", "fast=0.6"),
        *("--method", "convex"),
    ),
    "escalated": ("build", "--escalate", "fused-fast", "--to", "fused"),
    "cascaded": ("build", "--cascade", "bm25", "--rerank", "minilm", "--depth", "100"),
    "student-cascaded": ("build", "--cascade", "student", "--rerank", "minilm", "--depth", "100"),
}
SYSTEMS = tuple(RECIPES)
MEASURES = ("nDCG@10", "R@10", "R@100", "RR@10")
BASELINE = "bm25"
COMMAND = "python -m benchmarks.quality"


@dataclass(frozen=True)
class Data:
    """A test collection: its folder, its judgments, its description."""

    name: str
    qrels: str
    label: str

    def file(self, name: str) -> Path:
        """Return the path of one of its files."""
        return data_folder() / self.name / name


SCIFACT = Data("scifact", "qrels/test.tsv", "BEIR SciFact, 5,183 documents, 300 test queries")
CRANFIELD = Data(
    "cranfield", "qrels/test_graded.tsv", "Cranfield, 1,400 documents, 225 queries, grades 1 to 4"
)


def build(
    folder: Path,
    data: Data,
    systems: Sequence[str] = SYSTEMS,
    *,
    options: Mapping[str, Sequence[str]] = {},
    apart: bool = False,
) -> Collection:
    """Return a collection with some systems, in a folder that may have some of them already.

    A combination that is there is compared with its recipe: `MismatchError` if it is another.
    `options` are additional options of some systems. With `apart`, each is built by the command in
    a separate process, so that the memory of one is not counted for another.
    """
    with Collection.open_or_create(folder) as collection:
        collection.add(data.file("corpus.jsonl"))
        missing = set(systems) - set(collection.index_names())
    for name in systems:
        verb, *recipe = RECIPES[name]
        if name in missing or {"--fuse", "--cascade", "--escalate"} & {*recipe}:
            command = [str(folder), name, *recipe, *options.get(name, ())]
            if apart:
                subprocess.run([sys.executable, "-m", "retriever", verb, *command], check=True)
            else:
                cli.commands[verb].main(command, standalone_mode=False)
    return Collection.open(folder)


def judge(
    collection: Collection, data: Data, systems: Sequence[str] = SYSTEMS, *, memory: bool = False
) -> Comparison:
    """Run the test queries through some systems."""
    return compare(
        collection,
        systems,
        read_queries(data.file("queries.jsonl")),
        read_qrels(data.file(data.qrels)),
        measures=MEASURES,
        baseline=BASELINE,
        memory=memory,
        command=COMMAND,
    )


def main() -> None:
    """Build, compare, print, save."""
    for data in (SCIFACT, CRANFIELD):
        # From here: the page says how each index was built, and where.
        folder = Path(os.path.relpath(collection_folder(data.name)))
        with build(folder, data, apart=True) as collection:
            comparison = judge(collection, data, memory=True)
        print(comparison)
        _save(data, comparison)
    _picture(RESULTS / "scifact.html", RESULTS / "scifact.png")


def _save(data: Data, comparison: Comparison) -> None:
    files = [data.file(name) for name in ("corpus.jsonl", "queries.jsonl", data.qrels)]
    facts: dict[str, Any] = {
        "data": data.label,
        "data_checksum": checksum(*files),
        "command": COMMAND,
        "latency": "one query at a time, warm, systems taking turns query by query",
        "seed": comparison.environment["seed"],
    }
    rows = {name: _figures(comparison, name) for name in SYSTEMS}
    save(f"quality-{data.name}", {"certificate": certificate(**facts), "rows": rows})
    # The collections are not ours to redistribute: ids only.
    comparison.without_texts().write_html(RESULTS / f"{data.name}.html")


def _figures(comparison: Comparison, name: str) -> dict[str, Any]:
    row = comparison.rows[name]
    assert row.latency
    assert row.cost
    return {
        **row.quality,
        "differences": {
            measure: {
                "mean": one.mean,
                "low": one.low,
                "high": one.high,
                "p_holm": one.p_holm,
                "significant": one.significant,
            }
            for measure, one in row.differences.items()
        },
        "exact_nDCG@10": row.exact_quality.get("nDCG@10"),
        "ann_recall@10": row.ann_recall,
        "encoding_p50_ms": row.latency.encoding.p50,
        "searching_p50_ms": row.latency.searching.p50,
        "fetching_p50_ms": row.latency.fetching.p50,
        "query_ms": row.query_ms,
        "total_p50_ms": row.latency.total.p50,
        "total_p95_ms": row.latency.total.p95,
        "total_p99_ms": row.latency.total.p99,
        "queries_per_second_in_a_batch": row.throughput,
        "embedding_s": row.cost.embedding_seconds,
        "indexing_s": row.cost.indexing_seconds,
        "building_memory_bytes": row.cost.building_memory,
        "open_memory_bytes": row.cost.open_memory,
        "disk_bytes": row.cost.disk_size,
        "on_front": [cost for cost, names in comparison.fronts().items() if name in names],
    }


def _picture(page: Path, picture: Path) -> None:
    """Save the top of a report page as PNG, with headless Chromium where available."""
    browser = shutil.which("chromium")
    if browser is None:
        print(f"no chromium here: {picture.name} is left as it is")
        return
    with tempfile.TemporaryDirectory() as profile:
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        command += ["--disable-background-networking", "--disable-component-update"]
        command += ["--disable-sync", "--no-first-run", f"--user-data-dir={profile}"]
        command += ["--window-size=1280,1640", f"--screenshot={picture}", page.as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    print(f"wrote benchmarks/results/{picture.name}")


if __name__ == "__main__":
    main()
