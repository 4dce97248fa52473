"""Word vectors trained on 100,000 abstracts against GloVe 6B: `python -m benchmarks.training`.

Needs RETRIEVER_DATA. Writes `results/training.json`. The abstracts are indexed without their
titles, and the queries are titles of theirs (made-up judgments: a known-item search, for scale, not
for quality); SciFact and Cranfield are searched with the same vectors, trained elsewhere. Training
uses one thread, so that it is reproducible. `python -m benchmarks.training 20000` takes only that
many abstracts, and saves nothing; kinds may follow the number.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.certificate import certificate, checksum, collection_folder, data_folder, save
from retriever import (
    Collection,
    Document,
    HashingEmbedder,
    StaticEmbedder,
    read_qrels,
    read_queries,
    train,
)
from retriever.evaluation.measures import evaluate, means
from retriever.formats import read_documents

ABSTRACTS = "arxiv-100k/corpus.jsonl.gz"
ALL = 100_000
KINDS = ("word2vec", "fasttext", "glove")
WEIGHTINGS = ("mean", "idf", "sif", "usif")
PRETRAINED = "glove-6b-50d"
MEASURES = ("nDCG@10", "R@10")
DEPTH = 100
SEED = 1
TASKS = {"arxiv-100k": "qrels/test.tsv", "scifact": "qrels/test.tsv", "cranfield": "qrels/test.tsv"}


@dataclass(frozen=True)
class Model:
    """Word vectors by name, and their files."""

    name: str
    path: str


def abstracts(count: int) -> Iterator[Document]:
    """Return the first documents of the corpus, texts only: their titles are the queries."""
    for document in islice(read_documents(data_folder() / ABSTRACTS), count):
        assert isinstance(document, Document)
        yield Document(document.doc_id, document.text)


def trained(library: Collection, kinds: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Train some kinds with their defaults on one thread; return times and reports."""
    facts = {}
    for kind in kinds:
        report = train(library, kind, f"{kind}-mean", seed=SEED, workers=1)
        print(kind, f"{report.seconds:.0f} s", *report.scores, sep="\n  ", flush=True)
        facts[kind] = {
            "path": str(report.path),
            "seconds": report.seconds,
            "words_per_second": report.words_per_second,
            "vocabulary": report.vocabulary,
            "words": report.words,
            "epochs": report.epochs,
            "scores": [vars(score) for score in report.scores],
        }
    return facts


def quality(library: Collection, task: str, models: list[Model]) -> dict[str, dict[str, float]]:
    """Evaluate each model under each weighting, and hashing, which knows no words."""
    for model in models:
        for weighting in WEIGHTINGS:
            if f"{model.name}-{weighting}" not in library.index_names():
                embedder = StaticEmbedder(model.path, weighting=weighting)
                library.build(f"{model.name}-{weighting}", embedder)
    if "hashing" not in library.index_names():
        library.build("hashing", HashingEmbedder())
    folder = data_folder() / task
    qrels = read_qrels(folder / TASKS[task])
    # Of a part of the corpus, only queries whose document is in it.
    judged = {
        query_id: grades
        for query_id, grades in qrels.items()
        if task != "arxiv-100k" or not library.unknown_ids(list(grades))
    }
    queries = read_queries(folder / "queries.jsonl")
    asked = {query_id: queries[query_id] for query_id in judged}
    found = {}
    for name in library.index_names():
        run = library.retriever(name).run(asked, DEPTH)
        values = means(evaluate(run.ranking, judged, MEASURES))
        found[name] = {measure: values[measure] for measure in MEASURES}
    return found


def main() -> None:
    """Train, evaluate, print, save."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else ALL
    result: dict[str, Any] = {}
    folder = collection_folder("training-arxiv-100k")
    shutil.rmtree(folder, ignore_errors=True)
    with Collection.create(folder) as library:
        library.add(abstracts(count))
        result["training"] = trained(library, sys.argv[2:] or KINDS)
        models = [Model(kind, facts.pop("path")) for kind, facts in result["training"].items()]
        models.append(Model("glove-6b", PRETRAINED))
        result["arxiv-100k"] = quality(library, "arxiv-100k", models)
    for task in ("scifact", "cranfield"):
        result[task] = _elsewhere(task, models)
    print(json.dumps(result, indent=2))
    if count == ALL:
        _save(result)


def _elsewhere(task: str, models: list[Model]) -> dict[str, dict[str, float]]:
    """Evaluate the same vectors on a collection that they were not trained on."""
    folder = collection_folder(f"training-{task}")
    shutil.rmtree(folder, ignore_errors=True)
    with Collection.create(folder) as library:
        library.add(data_folder() / task / "corpus.jsonl")
        return quality(library, task, models)


def _save(result: dict[str, Any]) -> None:
    files: list[Path] = [data_folder() / ABSTRACTS]
    files += [data_folder() / task / "queries.jsonl" for task in TASKS]
    facts = {
        "data": "100,000 arXiv abstracts without titles, 1,000 titles asked (made-up judgments); "
        "SciFact, 300 test queries; Cranfield, 225 queries",
        "data_checksum": checksum(*files),
        "command": " ".join(["python -m benchmarks.training", *sys.argv[1:]]),
        "seed": SEED,
        "repeats": 1,
    }
    save("training", {"certificate": certificate(**facts), **result})


if __name__ == "__main__":
    main()
