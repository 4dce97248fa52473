"""Static against contextual embeddings on your own CSV, with a verdict.

python examples/static_or_contextual.py DOCUMENTS.csv QUERIES.csv

The documents have columns id, text and maybe title; the queries have query, and the id of a
document that answers each: without judgments of experts, a known answer is a good beginning.
"""

from __future__ import annotations

import csv
import sys
import tempfile
from pathlib import Path

from retriever import Collection, ContextualEmbedder, StaticEmbedder, compare

SYSTEMS = ("bm25", "static", "contextual", "fused")
MEASURE = "RR@10"


def read_queries(path: Path) -> tuple[dict[str, str], dict[str, dict[str, int]]]:
    """Return the texts of queries, and the document that answers each."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = {f"q{number}": row for number, row in enumerate(csv.DictReader(file), start=1)}
    queries = {name: row["query"] for name, row in rows.items()}
    return queries, {name: {row["id"]: 1} for name, row in rows.items()}


def main(documents: Path, questions: Path) -> None:
    """Print the table of the systems, and what follows from it."""
    queries, qrels = read_queries(questions)
    with tempfile.TemporaryDirectory() as folder, Collection.create(f"{folder}/c") as library:
        library.add(documents)
        glove = StaticEmbedder("glove-6b-50d", weighting="auto")
        library.build("bm25", lexical=True)
        library.build("static", glove)
        library.build("contextual", ContextualEmbedder("all-MiniLM-L6-v2"))
        library.fuse("fused", ["bm25", "contextual"])
        report = compare(library, SYSTEMS, queries, qrels, measures=[MEASURE], baseline="static")
    print(report)
    difference = report.rows["contextual"].differences[MEASURE]
    verdict = "better than" if difference.mean > 0 else "worse than"
    if not difference.significant:
        verdict = "not distinguishable, with so few queries, from"
    print(f"Verdict: contextual is {verdict} static ({difference.mean:+.3f} {MEASURE}).")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
