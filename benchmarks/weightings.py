"""Every weighting of two tables on three collections: `python -m benchmarks.weightings [auto]`.

Needs RETRIEVER_DATA. The tables are GloVe's, and WordLlama's, for which nothing was tuned. Writes
`results/weightings.json`, and `results/weightings-auto.json`: how far what `weighting auto` chooses
without judgments is from the best of them (`auto` writes that alone).
Everything is done in memory, with exact search: documents are embedded as a collection does it,
title and text, by an embedder fitted on them, and the measures are trec_eval's.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.certificate import RESULTS, certificate, checksum, save
from benchmarks.quality import CRANFIELD, SCIFACT, Data
from indexes.catalog.document_rows import passage_text
from indexes.document import Document
from retriever import StaticEmbedder, read_qrels, read_queries
from retriever.evaluation.measures import evaluate, means
from retriever.formats import read_documents

COMMAND = "python -m benchmarks.weightings"
MODEL = "glove-6b-50d"
MODELS = {MODEL: "GloVe", "wordllama": "WordLlama"}
MEASURES = ("nDCG@10", "R@100")
DEPTH = 100

WEIGHTINGS = ("mean", "idf", "sif", "usif")
# What is removed from words: `all_but_top`, or by a conceptor.
REMOVALS = ((0, False), (3, False), (5, False), (0, True))
COMPONENTS = (0, 1, 5)

ADI = Data("adi", "qrels/test.tsv", "ADI, 82 documents, 35 queries")
BINARY = "qrels/test.tsv"

# The columns of the table: a collection, the file of its judgments, and a name for both.
JUDGED = (
    (SCIFACT, SCIFACT.qrels, "scifact"),
    (CRANFIELD, BINARY, "cranfield"),
    (CRANFIELD, CRANFIELD.qrels, "cranfield-graded"),
    (ADI, ADI.qrels, "adi"),
)
TITLES = {
    "scifact": "SciFact",
    "cranfield": "Cranfield",
    "cranfield-graded": "... graded",
    "adi": "ADI",
}
NAMES = TITLES | {"cranfield-graded": "Cranfield, graded"}


@dataclass(frozen=True)
class Loaded:
    """A test collection in memory: embedded texts, queries, and all its judgments."""

    documents: list[Document]
    doc_ids: list[str]
    texts: list[str]
    queries: dict[str, str]
    qrels: dict[str, dict[str, dict[str, int]]]


def load(data: Data) -> Loaded:
    """Return the documents and the judged queries of a test collection."""
    records = read_documents(data.file("corpus.jsonl"))
    documents = [record for record in records if isinstance(record, Document)]
    qrels = {name: read_qrels(data.file(path)) for one, path, name in JUDGED if one == data}
    judged = {query_id for grades in qrels.values() for query_id in grades}
    queries = read_queries(data.file("queries.jsonl"))
    return Loaded(
        documents,
        [document.doc_id for document in documents],
        [passage_text(one.title, one.text, 0, len(one.text)) for one in documents],
        {query_id: queries[query_id] for query_id in sorted(judged)},
        qrels,
    )


def variants() -> Iterator[dict[str, Any]]:
    """Return the options of all variants; `fitted` says whether the corpus was seen."""
    for weighting, unit_words, (all_but_top, conceptor), components in product(
        WEIGHTINGS, (False, True), REMOVALS, COMPONENTS
    ):
        yield {
            "weighting": weighting,
            "unit_words": unit_words,
            "all_but_top": all_but_top,
            "conceptor": conceptor,
            "components": components,
            "fitted": True,
        }
    for weighting in WEIGHTINGS[1:]:
        yield {
            "weighting": weighting,
            "unit_words": False,
            "all_but_top": 0,
            "conceptor": False,
            "components": 0,
            "fitted": False,
        }


def judge(embedder: StaticEmbedder, data: Loaded) -> dict[str, dict[str, float]]:
    """Evaluate exact search, by the name of the judgments."""
    scores = embedder.encode_queries(list(data.queries.values()))
    scores = scores @ embedder.encode_documents(data.texts).T
    best = np.argsort(-scores, axis=1, kind="stable")[:, :DEPTH]
    run = {
        query_id: [(data.doc_ids[place], float(row[place])) for place in places.tolist()]
        for query_id, row, places in zip(data.queries, scores, best, strict=True)
        # A query without a known word finds nothing.
        if row.any()
    }
    return {name: means(evaluate(run, qrels, MEASURES)) for name, qrels in data.qrels.items()}


def measure(model: str, options: dict[str, Any], collections: list[Loaded]) -> dict[str, Any]:
    """Evaluate one set of options of a model on all collections."""
    chosen = {name: value for name, value in options.items() if name != "fitted"}
    results: dict[str, Any] = {}
    for data in collections:
        embedder = StaticEmbedder(model, **chosen)
        results |= judge(embedder.fitted(data.texts) if options["fitted"] else embedder, data)
    return {"model": model, **options, "quality": results}


def chosen(model: str, data: Loaded, best: dict[str, float]) -> dict[str, Any]:
    """Return what is chosen on a collection without its judgments, and its quality.

    `share` is that of the `best` quality by judgments of all variants of the table.
    """
    started = perf_counter()
    auto = StaticEmbedder(model, weighting="auto").chosen_for(data.documents)
    seconds, quality = perf_counter() - started, judge(auto.fitted(data.texts), data)
    values = {name: found["nDCG@10"] for name, found in quality.items()}
    return {
        "model": model,
        "options": str(auto.chosen),
        "notes": list(auto.notes),
        "seconds": seconds,
        "nDCG@10": values,
        "share": {name: value / best[name] for name, value in values.items()},
    }


def measure_auto(collections: list[Loaded], rows: list[dict[str, Any]]) -> None:
    """Choose on each collection, print, save."""
    found = []
    for model, data in product(MODELS, collections):
        best = {
            name: max(row["quality"][name]["nDCG@10"] for row in rows if row["model"] == model)
            for name in data.qrels
        }
        found.append({"best": best, **chosen(model, data, best)})
        print(found[-1], flush=True)
    save("weightings-auto", {"certificate": certificate(**facts()), "rows": found})


def main() -> None:
    """Measure, print, save."""
    if sys.argv[1:] == ["auto"]:
        collections = [load(data) for data in (SCIFACT, CRANFIELD, ADI)]
        measure_auto(collections, json.loads((RESULTS / "weightings.json").read_text())["rows"])
        return
    collections = [load(data) for data in (SCIFACT, CRANFIELD, ADI)]
    rows = []
    for model, options in product(MODELS, variants()):
        rows.append(measure(model, options, collections))
        figures = [
            f"{row['nDCG@10']:.3f} {row['R@100']:.3f}" for row in rows[-1]["quality"].values()
        ]
        print(model, *options.values(), "|", " | ".join(figures), flush=True)
    save("weightings", {"certificate": certificate(**facts()), "rows": rows})
    measure_auto(collections, rows)


def facts() -> dict[str, Any]:
    """Return what was measured, on which data."""
    files = [data.file(path) for data, path, _ in JUDGED]
    files += [data.file("corpus.jsonl") for data in (SCIFACT, CRANFIELD, ADI)]
    return {
        "data": "; ".join(data.label for data in (SCIFACT, CRANFIELD, ADI)),
        "data_checksum": checksum(*files),
        "command": COMMAND,
        "models": [*MODELS],
    }


def auto_table(kept: dict[str, Any]) -> str:
    """Return what was chosen on each collection as Markdown, next to the best by judgments."""
    best = f"the best of {len([*variants()])} by judgments"
    lines = [f"| | | chosen without judgments | nDCG@10 | {best} | share |"]
    lines.append("|---|---|---|---:|---:|---:|")
    for row in kept["rows"]:
        for name, value in row["nDCG@10"].items():
            cells = [MODELS[row["model"]], NAMES[name], row["options"], f"{value:.3f}"]
            cells += [f"{row['best'][name]:.3f}", f"{100 * row['share'][name]:.1f} %"]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def table(kept: dict[str, Any], measure_name: str = "nDCG@10") -> str:
    """Return GloVe's results as Markdown: one row per weighting, one column per number of
    components removed from texts; the best of each collection in bold.
    """
    found: dict[str, dict[tuple[str, int], float]] = {}
    for row in kept["rows"]:
        if row["model"] != MODEL:
            continue
        for name in TITLES:
            value = row["quality"][name][measure_name]
            found.setdefault(_label(row), {})[name, row["components"]] = value
    best = {
        name: max(values.get((name, n), 0.0) for values in found.values() for n in COMPONENTS)
        for name in TITLES
    }
    columns = list(product(TITLES, COMPONENTS))
    titles = [
        f"{TITLES[name]} {number}" if number == 0 else str(number) for name, number in columns
    ]
    lines = [f"| {measure_name} | {' | '.join(titles)} |", f"|---|{'---:|' * len(columns)}"]
    for label, values in found.items():
        cells = [_cell(values.get(column), best[column[0]]) for column in columns]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _label(row: dict[str, Any]) -> str:
    parts = [row["weighting"]]
    parts += ["unit words"] if row["unit_words"] else []
    parts += [f"all but top {row['all_but_top']}"] if row["all_but_top"] else []
    parts += ["conceptor"] if row["conceptor"] else []
    parts += [] if row["fitted"] else ["by rank"]
    return ", ".join(parts)


def _cell(value: float | None, best: float) -> str:
    if value is None:
        return ""
    return f"**{value:.3f}**" if value == best else f"{value:.3f}"


if __name__ == "__main__":
    main()
