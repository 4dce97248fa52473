"""The speed and quality of a sentence model on a CPU: `python -m benchmarks.encode`.

Needs RETRIEVER_DATA. Writes `results/encode.json`. MiniLM by `SentenceTransformer.encode` at its
defaults and by each of our runtimes, in one process, taking turns; each figure is the median of
several repeats with its spread. The vectors of the whole corpus, by which the precisions are
judged, are kept in `.cache/`: an interrupted run resumes from there. `--without-quality` leaves
them out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import numpy as np

from benchmarks.certificate import (
    certificate,
    checksum,
    collection_folder,
    data_folder,
    save,
    summary,
)
from retriever import Collection, ContextualEmbedder, Document, read_qrels, read_queries
from retriever.embedders.base import Matrix, unit
from retriever.embedders.hub import locate_sentence_model
from retriever.evaluation.measures import evaluate, mean

MODEL = "all-MiniLM-L6-v2"
THEIRS = "sentence_transformers"
WAYS: dict[str, dict[str, Any]] = {
    "torch_float32": {"runtime": "torch", "precision": "float32"},
    "torch_bfloat16": {"runtime": "torch", "precision": "bfloat16"},
    "onnx_float32": {"runtime": "onnx", "precision": "float32"},
    "onnx_int8": {"runtime": "onnx", "precision": "int8"},
    "auto": {"precision": "auto"},
}
# The runtime that embeds the whole corpus in each precision.
JUDGED = {"float32": "onnx_float32", "bfloat16": "torch_bfloat16", "int8": "onnx_int8"}
DOCUMENTS, REPEATS = 128, 7
# A system answers this many queries in a row, after some more to fill the caches, as a process with
# a single model does; then it is the next one's turn.
QUERY_TURNS, QUERIES_IN_A_ROW, WARM_UP = 12, 20, 5
FIRST_ANSWERS = 5
PART = 512
# torch's threads spin for a while after each call: the next system must not pay for that.
PAUSE = 0.05
QUERY = "does vitamin d deficiency raise the risk of falls in older women"
Encode = Callable[[list[str]], Matrix]


def systems() -> tuple[dict[str, Encode], dict[str, ContextualEmbedder]]:
    """Return the systems, sentence-transformers first; and our embedders alone."""
    from sentence_transformers import SentenceTransformer

    place, _ = locate_sentence_model(MODEL)
    theirs = SentenceTransformer(str(place), device="cpu")
    ours = {name: ContextualEmbedder(MODEL, **options) for name, options in WAYS.items()}
    encoders: dict[str, Encode] = {THEIRS: lambda texts: unit(theirs.encode(texts))}
    return encoders | {name: each.encode_documents for name, each in ours.items()}, ours


def in_turns(
    encoders: Mapping[str, Encode], texts: list[str], repeats: int, warm_up: Sequence[str]
) -> tuple[dict[str, list[float]], dict[str, Matrix]]:
    """Time each system over the texts, taking turns, after a warm-up; return its vectors too.

    Each turn starts after the threads of the previous one are idle.
    """
    seconds: dict[str, list[float]] = {name: [] for name in encoders}
    vectors: dict[str, Matrix] = {}
    for encode in encoders.values():
        encode(list(warm_up))
    for _ in range(repeats):
        for name, encode in encoders.items():
            sleep(PAUSE)
            started = perf_counter()
            vectors[name] = encode(texts)
            seconds[name].append(perf_counter() - started)
    return seconds, vectors


def documents(
    encoders: Mapping[str, Encode], ours: Mapping[str, ContextualEmbedder], texts: list[str]
) -> dict[str, Any]:
    """Return documents per second, speedup over sentence-transformers, and cosines to it."""
    seconds, vectors = in_turns(encoders, texts, REPEATS, texts[:16])
    rows = {}
    for name, some in seconds.items():
        # Turn by turn: what slows the whole machine down for a while slows both.
        times = float(np.median(np.divide(seconds[THEIRS], some)))
        cosines = np.einsum("ij,ij->i", vectors[name], vectors[THEIRS], dtype=np.float64)
        rows[name] = {
            "documents_per_second": len(texts) / float(np.median(some)),
            "times_sentence_transformers": times,
            "seconds": summary(some),
            "cosine_least": float(cosines.min()),
            "cosine_mean": float(cosines.mean()),
        }
        if name in ours:
            report = ours[name].encode_and_report(texts[:64])[1]
            rows[name]["padding"] = report.padding
            rows[name]["computes"] = f"{ours[name].runtime}, {ours[name].precision}"
    return {"texts": len(texts), "padding_theirs": padding_of_theirs(ours, texts), "rows": rows}


def padding_of_theirs(ours: Mapping[str, ContextualEmbedder], texts: list[str]) -> float:
    """Return the share of padding in batches of 32, sorted by text length."""
    order = sorted(texts, key=len, reverse=True)
    embedder = next(iter(ours.values()))
    lengths = [embedder.report_queries([text]).tokens for text in order]
    batches = [lengths[start : start + 32] for start in range(0, len(lengths), 32)]
    return 1 - sum(lengths) / sum(max(batch) * len(batch) for batch in batches)


def one_query(encoders: Mapping[str, Encode], ours: Mapping[str, Any]) -> dict[str, Any]:
    """Time one query of a dozen words in ms; systems take turns with a few in a row."""
    asked: dict[str, Encode] = {THEIRS: encoders[THEIRS]}
    asked |= {name: each.encode_queries for name, each in ours.items()}
    turns: dict[str, list[list[float]]] = {name: [] for name in asked}
    for _ in range(QUERY_TURNS):
        for name, encode in asked.items():
            sleep(PAUSE)
            turns[name].append(_in_a_row(encode)[WARM_UP:])
    rows = {}
    for name, some in turns.items():
        shares = np.divide(np.median(some, axis=1), np.median(turns[THEIRS], axis=1))
        rows[name] = {
            "p50_ms": 1000 * float(np.percentile(some, 50)),
            "p95_ms": 1000 * float(np.percentile(some, 95)),
            "share_of_sentence_transformers": float(np.median(shares)),
        }
    return rows


def _in_a_row(encode: Encode) -> list[float]:
    """Return the seconds of a query, and of the next."""
    seconds = []
    for _ in range(WARM_UP + QUERIES_IN_A_ROW):
        started = perf_counter()
        encode([QUERY])
        seconds.append(perf_counter() - started)
    return seconds


def first_answer(texts: list[str]) -> dict[str, Any]:
    """Time `retriever search` in a fresh process, with torch and with an exported graph."""
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "library"
        with Collection.create(library) as collection:
            collection.add([Document(str(n), text) for n, text in enumerate(texts[:16])])
            for runtime in ("torch", "onnx"):
                collection.build(runtime, ContextualEmbedder(MODEL, runtime=runtime))
        seconds: dict[str, list[float]] = {"torch": [], "onnx": []}
        command = [sys.executable, "-m", "retriever", "search", str(library), QUERY, "--index"]
        for turn in range(FIRST_ANSWERS + 1):
            for runtime, some in seconds.items():
                started = perf_counter()
                subprocess.run([*command, runtime], check=True, capture_output=True)
                if turn:
                    some.append(perf_counter() - started)
    return {runtime: summary(some) for runtime, some in seconds.items()}


def quality(ours: Mapping[str, ContextualEmbedder], data: Path) -> dict[str, Any]:
    """Return nDCG@10 on SciFact in each precision, documents and queries by the same embedder."""
    texts = corpus_of(data)
    queries = read_queries(data / "queries.jsonl")
    qrels = read_qrels(data / "qrels" / "test.tsv")
    asked = [query_id for query_id in queries if query_id in qrels]
    rows: dict[str, Any] = {}
    for precision, way in JUDGED.items():
        embedder = ours[way]
        vectors = whole_corpus(embedder, list(texts.values()))
        scores = embedder.encode_queries([queries[query_id] for query_id in asked]) @ vectors.T
        run = {
            query_id: ranked(list(texts), row) for query_id, row in zip(asked, scores, strict=True)
        }
        rows[precision] = {
            "computes": way,
            "nDCG@10": mean(evaluate(run, qrels, ["nDCG@10"])["nDCG@10"]),
        }
    exact = rows["float32"]["nDCG@10"]
    for row in rows.values():
        row["difference"] = row["nDCG@10"] - exact
    return rows


def ranked(names: Sequence[str], scores: Matrix) -> list[tuple[str, float]]:
    """Return the ten best documents of one query."""
    best = np.argsort(-scores, kind="stable")[:10]
    return [(names[place], float(scores[place])) for place in best]


def whole_corpus(embedder: ContextualEmbedder, texts: list[str]) -> Matrix:
    """Return the vectors of all texts; parts of an interrupted run are reused."""
    key = sha256("\0".join([embedder.fingerprint, *texts]).encode()).hexdigest()[:16]
    folder = collection_folder("encode") / key
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for start in range(0, len(texts), PART):
        path = folder / f"{start}.npy"
        if not path.exists():
            work = path.with_suffix(".new.npy")
            np.save(work, embedder.encode_documents(texts[start : start + PART]))
            work.replace(path)
        parts.append(np.load(path))
    return np.concatenate(parts)


def corpus_of(data: Path) -> dict[str, str]:
    """Return the texts of a collection by id: title and text, joined by a space."""
    lines = (data / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return {row["_id"]: f"{row['title']} {row['text']}".strip() for row in rows}


def main() -> None:
    """Measure everything, print it, save it."""
    data = data_folder() / "scifact"
    everything = list(corpus_of(data).values())
    texts = everything[:: len(everything) // DOCUMENTS][:DOCUMENTS]
    load = os.getloadavg()[0]
    encoders, ours = systems()
    result: dict[str, Any] = {
        "notes": {name: list(each.notes) for name, each in ours.items()},
        "one_query": one_query(encoders, ours),
        "first_answer_seconds": first_answer(texts),
        "documents": documents(encoders, ours, texts),
    }
    if "--without-quality" not in sys.argv:
        result["quality"] = quality(ours, data)
    print(json.dumps(result, indent=2))
    facts = {
        "data": "BEIR SciFact, 5,183 documents, 300 test queries",
        "data_checksum": checksum(data / "corpus.jsonl", data / "queries.jsonl"),
        "command": "python -m benchmarks.encode",
        "repeats": REPEATS,
        "query": QUERY,
        "load_before": load,
    }
    save("encode", {"certificate": certificate(**facts), **result})


if __name__ == "__main__":
    main()
