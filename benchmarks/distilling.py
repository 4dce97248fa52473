"""How close a distilled table comes to its teacher: `python -m benchmarks.distilling [TASK...]`;
with `--ablate`, which changes of the fit help; with `--command`, what the command costs.

Needs RETRIEVER_DATA. Writes `results/distilling.json`: four collections and 1,000 documents of two,
with three seeds, alone and fused with BM25. `--ablate [--only VARIANT]...` measures changes, one at
a time. If tasks are named, only these are measured; `--seeds N` takes the first N seeds. MiniLM is
the teacher throughout; what it has read is kept in `.cache/` between seeds, variants and runs. The
tables are those of `distill`, made without a collection on disk. `--command` calls `distill`
itself, with nothing kept.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from time import perf_counter, process_time
from typing import Any

import numpy as np

from benchmarks.certificate import certificate, checksum, collection_folder, save
from benchmarks.distillation.ablation import FUSED, KEPT, ablate, results, saved
from benchmarks.distillation.tasks import BINARY, SEEDS, TASKS, TEACHER, Remembering, Task
from retriever import Collection, ContextualEmbedder, StaticEmbedder, distill
from retriever.training.distillation.teacher import TEXTS

COMMAND = "python -m benchmarks.distilling"


def measure_command(task: Task, teacher: Remembering) -> dict[str, Any]:
    """Return the time of `distill` over a built index, what it reaches, and one query's time."""
    with Collection.open_or_create(collection_folder(f"distilling-{task.name}")) as library:
        if not len(library):
            library.add(task.documents())
        library.build("minilm", None if "minilm" in library.index_names() else teacher)
        library.use("minilm", ContextualEmbedder(TEACHER))
        if "student" in library.index_names():
            library.drop("student")
        for folder in (library.path / "models").glob("*student*"):
            shutil.rmtree(folder)
        judged: dict[str, Any] = {"queries": task.queries(), "qrels": task.qrels()}
        started, used = perf_counter(), process_time()
        report = distill(library, "student", teacher="minilm", **judged)
        seconds, used = perf_counter() - started, process_time() - used
        assert report.judged
    return {
        "documents": report.passages + report.held_out_known,
        "whole_s": seconds,
        "processor_s": used,
        "encoding_s": report.encoding_seconds,
        "fitting_s": report.fitting_seconds,
        "load": os.getloadavg()[0],
        "processor": certificate()["processor"],
        "queries_only": report.judged.student_queries / report.judged.teacher,
        "both_sides": (report.judged.student or 0.0) / report.judged.teacher,
        "encoding_us": single_queries(StaticEmbedder(report.path), list(task.queries().values())),
    }


def single_queries(student: StaticEmbedder, queries: list[str]) -> dict[str, float]:
    """Return the time of encoding one query: percentiles in microseconds, each asked 20 times."""
    times = []
    for text in [*queries[:20], *queries * 20]:
        started = perf_counter()
        student.encode_queries([text])
        times.append(1e6 * (perf_counter() - started))
    # The first ones warm up.
    p5, p50, p95 = np.percentile(times[20:], [5, 50, 95])
    return {"p5": p5, "p50": p50, "p95": p95}


def main() -> None:
    """Measure the tasks named, or all, and save what has been measured of all."""
    parser = argparse.ArgumentParser(prog=COMMAND)
    parser.add_argument("tasks", nargs="*", metavar="TASK")
    parser.add_argument("--ablate", action="store_true")
    parser.add_argument("--command", action="store_true")
    parser.add_argument("--only", action="append", default=[], metavar="VARIANT")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), metavar="N")
    given = parser.parse_args()
    tasks = [task for task in TASKS if task.name in given.tasks or not given.tasks]
    teacher = Remembering.of(collection_folder("teacher.db"))
    seeds = SEEDS[: given.seeds]
    origin = certificate(**facts())
    if given.command:
        # A command's own facts are with it; the others were measured as they say.
        origin = saved().get("certificate", origin)
        for task in tasks:
            place = collection_folder(f"command-{task.name}.json")
            place.write_text(json.dumps(measure_command(task, teacher)))
    else:
        ablate(tasks, teacher, given.only if given.ablate else [KEPT, FUSED], seeds)
    save("distilling", {"certificate": origin, "tasks": results()})


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
