"""What each embedding finds on SciFact: `python -m benchmarks.quality`, needs RETRIEVER_DATA.

Writes `results/quality-scifact.json`. The collection is kept in `.cache/`, so that only the first
run embeds the documents (about four minutes for MiniLM on two cores).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.certificate import certificate, checksum, collection_folder, data_folder, save
from retriever import (
    Collection,
    Comparison,
    ContextualEmbedder,
    HashingEmbedder,
    StaticEmbedder,
    compare,
    read_qrels,
    read_queries,
)

INDEXES = ("hashing", "glove", "minilm", "minilm-hnsw")


def build(folder: Path, data: Path, precision: str = "float32") -> Collection:
    """SciFact under four indexes, in a folder that may hold some of it already."""
    collection = Collection.open_or_create(folder)
    collection.add(data / "corpus.jsonl")
    collection.build("hashing", HashingEmbedder())
    collection.build("glove", StaticEmbedder("glove-6b-50d"))
    collection.build("minilm", ContextualEmbedder("all-MiniLM-L6-v2", precision=precision))
    collection.build("minilm-hnsw", vectors="minilm", ann="HNSW32")
    return collection


def judge(collection: Collection, data: Path) -> Comparison:
    """The 300 test queries through all four."""
    queries, qrels = read_queries(data / "queries.jsonl"), read_qrels(data / "qrels" / "test.tsv")
    return compare(collection, INDEXES, queries, qrels)


def main() -> None:
    """Build, compare, print, save."""
    data = data_folder() / "scifact"
    with build(collection_folder("scifact"), data) as collection:
        comparison = judge(collection, data)
    print(comparison)
    files = (data / "corpus.jsonl", data / "queries.jsonl", data / "qrels" / "test.tsv")
    facts: dict[str, Any] = {
        "data": "BEIR SciFact, 5,183 documents, 300 test queries",
        "data_checksum": checksum(*files),
        "command": "python -m benchmarks.quality",
        "latency": "one query at a time, warm, systems taking turns query by query",
    }
    rows = {name: _figures(comparison, name) for name in INDEXES}
    save("quality-scifact", {"certificate": certificate(**facts), "rows": rows})


def _figures(comparison: Comparison, name: str) -> dict[str, Any]:
    row = comparison.rows[name]
    return {
        **row.quality,
        "ann_recall@10": row.ann_recall,
        "encoding_p50_ms": row.latency.encoding_p50,
        "searching_p50_ms": row.latency.searching_p50,
        "fetching_p50_ms": row.latency.fetching_p50,
        "total_p50_ms": row.latency.total_p50,
        "total_p95_ms": row.latency.total_p95,
        "queries_per_second_in_a_batch": row.throughput,
        "embedding_s": row.index.embedding_seconds,
        "indexing_s": row.index.indexing_seconds,
        "vectors_bytes": row.index.vectors_size,
        "index_file_bytes": row.index.structure_size,
    }


if __name__ == "__main__":
    main()
