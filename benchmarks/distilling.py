"""How close a distilled table comes to its teacher: `python -m benchmarks.distilling [TASK...]`;
with `--ablate`, which changes help.

Needs RETRIEVER_DATA. Writes `results/distilling.json`: the command with its defaults, with several
seeds, on four collections and on 1,000 documents of two. `--ablate [--only VARIANT]...` measures
changes, one at a time, with the same seeds, and writes `results/distilling-ablation.json`. If tasks
are named, only these are measured. MiniLM is the teacher throughout. What it has read is kept in
`.cache/` between seeds, variants and runs; for tasks that are `timed`, the command is called once
more without that, which takes `whole_s`.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from time import perf_counter
from typing import Any

from benchmarks.certificate import certificate, checksum, collection_folder, save
from benchmarks.distillation.ablation import ablate, ablation_results
from benchmarks.distillation.tasks import BINARY, SEEDS, TASKS, TEACHER, Remembering, Task
from retriever import Collection, ContextualEmbedder, distill
from retriever.training.distillation.teacher import TEXTS

COMMAND = "python -m benchmarks.distilling"


def collection_of(task: Task, teacher: Remembering) -> Collection:
    """Return the collection with MiniLM's vectors, kept between runs."""
    library = Collection.open_or_create(collection_folder(task.name))
    if not len(library):
        library.add(task.documents())
    there = "minilm" in library.index_names()
    library.build("minilm", None if there else teacher)
    return library


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


def measure(task: Task, place: Path, teacher: Remembering) -> None:
    """Write to a file what `distill` reaches with its defaults.

    After each distillation, so that an interrupted call resumes.
    """
    kept = json.loads(place.read_text()) if place.exists() else {"runs": {}}
    with collection_of(task, teacher) as library:
        if task.timed and "whole_s" not in kept:
            library.use("minilm", ContextualEmbedder(TEACHER))
            kept["whole_s"] = distilled(library, task, SEEDS[0])["whole_s"]
        library.use("minilm", teacher)
        for seed in SEEDS:
            if str(seed) not in kept["runs"]:
                kept["runs"][str(seed)] = found = distilled(library, task, seed)
                place.write_text(json.dumps(kept))
                print(task.name, seed, found, flush=True)
    place.write_text(json.dumps(kept))


def main() -> None:
    """Measure the tasks named, or all, and save what has been measured of all."""
    parser = argparse.ArgumentParser(prog=COMMAND)
    parser.add_argument("tasks", nargs="*", metavar="TASK")
    parser.add_argument("--ablate", action="store_true")
    parser.add_argument("--only", action="append", default=[], metavar="VARIANT")
    given = parser.parse_args()
    tasks = [task for task in TASKS if task.name in given.tasks or not given.tasks]
    teacher = Remembering.of(collection_folder("teacher.db"))
    if given.ablate:
        ablate(tasks, teacher, given.only)
        command = f"{COMMAND} --ablate"
        save("distilling-ablation", {**certified(command), "tasks": ablation_results()})
        return
    places = {task.name: collection_folder(f"distilling-{task.name}.json") for task in TASKS}
    for task in tasks:
        measure(task, places[task.name], teacher)
        save_all(places)


def certified(command: str) -> dict[str, Any]:
    """Return what was measured, how and when."""
    return {"certificate": certificate(**facts(), command=command)}


def save_all(places: Mapping[str, Path]) -> None:
    """Write the results from what is kept of each task."""
    tasks = {}
    for task in TASKS:
        if places[task.name].exists():
            kept = json.loads(places[task.name].read_text())
            runs = [kept["runs"][str(seed)] for seed in SEEDS if str(seed) in kept["runs"]]
            tasks[task.name] = {"label": task.label, **summed_up(runs), **kept}
    save("distilling", {**certified(COMMAND), "tasks": tasks})


def facts() -> dict[str, Any]:
    """Return what was measured, on which data."""
    data = {task.data.name: task.data for task in TASKS}.values()
    files = [one.file(name) for one in data for name in ("queries.jsonl", BINARY)]
    return {
        "data": "ADI, Cranfield, BEIR SciFact, arXiv titles and abstracts, binary judgments",
        "data_checksum": checksum(*files),
        "seeds": list(SEEDS),
        "texts": TEXTS,
    }


if __name__ == "__main__":
    main()
