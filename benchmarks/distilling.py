"""How close a distilled table comes to its teacher, and an ablation:
`python -m benchmarks.distilling [TASK...]`.

Needs RETRIEVER_DATA. Writes `results/distilling.json`: the command with its defaults, with several
seeds, on four collections and on 1,000 documents of two; and an ablation, one change at a time. If
tasks are named, only these are measured. MiniLM is the teacher throughout.
What it has read is kept in `.cache/` between seeds, variants and runs; for tasks that are `timed`,
the command is called once more without that, which takes `whole_s`.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.certificate import certificate, checksum, collection_folder, save
from benchmarks.quality import CRANFIELD, SCIFACT, Data
from benchmarks.weightings import ADI
from indexes.document import Document
from retriever import Collection, ContextualEmbedder, distill
from retriever.embedders.base import Matrix
from retriever.formats import read_documents, read_qrels, read_queries
from retriever.training.distillation.distill import RECIPE
from retriever.training.distillation.teacher import TEXTS

COMMAND = "python -m benchmarks.distilling"
BINARY = "qrels/test.tsv"
ARXIV = Data("arxiv-100k", BINARY, "arXiv abstracts, titles as queries")
SEEDS = (1, 2, 3)


@dataclass(frozen=True)
class Task:
    """A collection to distill on: its name, the source of its documents, how it is cut.

    With `only_judged`, there are that many documents, all judged ones included. `asked` limits the
    queries. Without `titles`, documents have none: for queries that are titles. `timed` also
    measures the whole command.
    """

    name: str
    label: str
    data: Data
    only_judged: int | None = None
    asked: int | None = None
    titles: bool = True
    timed: bool = False

    def documents(self) -> list[Document]:
        """Return the documents."""
        corpus = self.data.file("corpus.jsonl")
        records = read_documents(corpus if corpus.exists() else f"{corpus}.gz")
        documents = [record for record in records if isinstance(record, Document)]
        if not self.titles:
            documents = [Document(one.doc_id, one.text) for one in documents]
        if self.only_judged is None:
            return documents
        judged = {doc_id for grades in self.qrels().values() for doc_id in grades}
        others = [one.doc_id for one in documents if one.doc_id not in judged]
        chosen = judged | set(random.Random(7).sample(others, self.only_judged - len(judged)))
        return [one for one in documents if one.doc_id in chosen]

    def queries(self) -> dict[str, str]:
        """Return the judged queries."""
        judged = self.qrels()
        queries = read_queries(self.data.file("queries.jsonl"))
        return {key: text for key, text in queries.items() if key in judged}

    def qrels(self) -> dict[str, dict[str, int]]:
        """Return the judgments, relevant or not."""
        qrels = read_qrels(self.data.file(BINARY))
        return {key: qrels[key] for key in sorted(qrels)[: self.asked]}


TASKS = (
    Task("adi", "ADI, 82 documents", ADI),
    Task("cranfield", "Cranfield", CRANFIELD),
    Task("scifact", "SciFact", SCIFACT, timed=True),
    Task("arxiv-5000", "arXiv, 5,000 documents", ARXIV, only_judged=5_000, titles=False),
    Task("scifact-1000", "SciFact, 1,000 documents", SCIFACT, only_judged=1_000),
    Task("arxiv-1000", "arXiv, 1,000 documents", ARXIV, 1_000, asked=300, titles=False),
)


def collection_of(task: Task) -> Collection:
    """Return the collection with MiniLM's vectors, kept between runs."""
    library = Collection.open_or_create(collection_folder(task.name))
    if not len(library):
        library.add(task.documents())
    there = "minilm" in library.index_names()
    library.build("minilm", None if there else ContextualEmbedder("all-MiniLM-L6-v2"))
    return library


class Remembering(ContextualEmbedder):
    """MiniLM, with the vectors of what it has read as queries kept in a file."""

    kept: dict[str, Matrix]

    @classmethod
    def of(cls, path: Path) -> Remembering:
        """Return it with what is in the file."""
        embedder = cls("all-MiniLM-L6-v2")
        embedder.kept = {}
        if path.exists():
            with np.load(path) as file:
                texts = json.loads(file["texts"].tobytes())
                embedder.kept = dict(zip(texts, file["vectors"], strict=True))
        return embedder

    def save(self, path: Path) -> None:
        """Write what it has read."""
        texts = np.frombuffer(json.dumps([*self.kept]).encode(), np.uint8)
        np.savez(path, texts=texts, vectors=np.array([*self.kept.values()]))

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        """Return the vectors of queries, computed once for each text."""
        new = [text for text in dict.fromkeys(texts) if text not in self.kept]
        if new:
            self.kept.update(zip(new, super().encode_queries(new), strict=True))
        return np.array([self.kept[text] for text in texts], np.float32)


# -- the command ---------------------------------------------------------------------------------


def distilled(library: Collection, task: Task, seed: int, **options: Any) -> dict[str, Any]:
    """Distill once from scratch to an index, and evaluate it."""
    name = f"distilled-{seed}"
    if name in library.index_names():
        library.drop(name)
    for folder in (library.path / "models").glob(f"*{name}*"):
        shutil.rmtree(folder)
    started = perf_counter()
    judged: dict[str, Any] = {"queries": task.queries(), "qrels": task.qrels()}
    report = distill(library, name, teacher="minilm", seed=seed, **judged, **options)
    seconds = perf_counter() - started
    assert report.judged
    library.drop(name)
    shutil.rmtree(report.path)
    return {
        "teacher": report.judged.teacher,
        "queries_only": report.judged.student_queries,
        "both_sides": report.judged.student,
        "cosine": report.cosine,
        "texts": report.texts,
        "passages": report.passages,
        "fitting_s": report.fitting_seconds,
        "whole_s": seconds,
        "precision": report.precision,
    }


def summed_up(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return means over the seeds, and the range of the share of the teacher's quality."""
    teacher = runs[0]["teacher"]
    shares = {
        side: [run[side] / teacher for run in runs] for side in ("queries_only", "both_sides")
    }
    return {
        "teacher": teacher,
        **{key: mean(run[key] for run in runs) for key in ("queries_only", "both_sides")},
        **{f"{side}_share": mean(values) for side, values in shares.items()},
        **{f"{side}_spread": [min(values), max(values)] for side, values in shares.items()},
        "cosine": mean(run["cosine"] for run in runs),
    }


def variants() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield changes of the defaults, with labels."""
    yield "half of the steps", {"recipe": replace(RECIPE, steps=400, most_epochs=20)}
    yield "half of the sentences", {"texts": TEXTS // 2}
    yield "twice the sentences", {"texts": TEXTS * 2}
    yield "no ranking of the index", {"recipe": replace(RECIPE, contrast=0.0)}


def measure(task: Task, place: Path, *, ablation: bool) -> None:
    """Write to a file what `distill` reaches with its defaults, or in the ablation.

    After each distillation, so that an interrupted call resumes.
    """
    kept = json.loads(place.read_text()) if place.exists() else {"runs": {}, "ablation": {}}
    cache = place.with_suffix(".npz")
    with collection_of(task) as library:
        teacher = Remembering.of(cache)
        if task.timed and "whole_s" not in kept:
            kept["whole_s"] = distilled(library, task, SEEDS[0])["whole_s"]
        library.use("minilm", teacher)
        calls = list(variants()) if ablation else [(str(seed), {"seed": seed}) for seed in SEEDS]
        for label, options in calls:
            part = kept["ablation" if ablation else "runs"]
            if label not in part:
                part[label] = distilled(library, task, **{"seed": SEEDS[0], **options})
                teacher.save(cache)
                place.write_text(json.dumps(kept))
                print(task.name, label, part[label], flush=True)
    kept["certificate"] = certificate(command=COMMAND)
    place.write_text(json.dumps(kept))


def main() -> None:
    """Measure the tasks named, or all, and save what has been measured of all."""
    wanted = sys.argv[1:] or [task.name for task in TASKS]
    places = {task.name: collection_folder(f"distilling-{task.name}.json") for task in TASKS}
    for ablation in (False, True):
        for task in TASKS:
            if task.name in wanted:
                measure(task, places[task.name], ablation=ablation)
                save_all(places)


def save_all(places: Mapping[str, Path]) -> None:
    """Write the results from what is kept of each task."""
    tasks = {}
    for task in TASKS:
        if places[task.name].exists():
            kept = json.loads(places[task.name].read_text())
            runs = [kept["runs"][str(seed)] for seed in SEEDS if str(seed) in kept["runs"]]
            tasks[task.name] = {"label": task.label, **summed_up(runs), **kept}
    save("distilling", {"certificate": certificate(**facts()), "tasks": tasks})


def facts() -> dict[str, Any]:
    """Return what was measured, on which data."""
    data = {task.data.name: task.data for task in TASKS}.values()
    files = [one.file(name) for one in data for name in ("queries.jsonl", BINARY)]
    return {
        "data": "ADI, Cranfield, BEIR SciFact, arXiv titles and abstracts, binary judgments",
        "data_checksum": checksum(*files),
        "command": COMMAND,
        "seeds": list(SEEDS),
        "texts": TEXTS,
    }


if __name__ == "__main__":
    main()
