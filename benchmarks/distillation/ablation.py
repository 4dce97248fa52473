"""Which changes of distillation help: `python -m benchmarks.distilling --ablate [TASK...]`.

Each change is measured on every task with three seeds, by the same lessons and the same teacher's
vectors, without an index on disk. A change that was measured is not measured again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.certificate import RESULTS, collection_folder
from benchmarks.distillation import fits
from benchmarks.distillation.fused import fused_scores
from benchmarks.distillation.lab import Lab, Side, prepare
from benchmarks.distillation.tasks import SEEDS, TASKS, Remembering, Task
from retriever.embedders.base import Matrix, unit
from retriever.splitting import sentences
from retriever.training.distillation.distill import MOST_ANCHORS, RECIPE
from retriever.training.distillation.teacher import TEXTS

PLAIN = "base: weight 4 of the ranking, 4,000 passages at most, no map"
PENALTY = 0.1
KEPT = "map after, .1, weight 16, 8,000 passages: what `distill` does"
FUSED = "fused with BM25"
# What each variant changes.
BASE, BASE_ANCHORS = replace(RECIPE, contrast=4.0, map_penalty=None), 4_000
Scores = Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """A task and a seed, with what several variants need."""

    task: Task
    seed: int
    teacher: Remembering

    @cached_property
    def lab(self) -> Lab:
        """The distillation that variants change, before its fit."""
        return self._prepared()

    @cached_property
    def table(self) -> Matrix:
        """The table before its map."""
        return self.lab.fitted()

    @cached_property
    def product(self) -> Matrix:
        """The table of `distill`."""
        return replace(self.lab, recipe=RECIPE, most_anchors=MOST_ANCHORS).fitted()

    @cached_property
    def firsts(self) -> set[str]:
        """The titles and first sentences."""
        found = set[str]()
        for document in self.task.documents():
            found |= {document.title.strip(), *sentences(document.text)[:1]}
        return found

    def other(self, **changes: Any) -> Scores:
        """Return the scores with other texts or tokens."""
        lab = self._prepared(**changes)
        return lab.scores(lab.fitted())

    def _prepared(self, **changes: Any) -> Lab:
        base: dict[str, Any] = {"recipe": BASE, "most_anchors": BASE_ANCHORS}
        return prepare(self.task, self.seed, self.teacher, **base, **changes)

    def with_recipe(self, **changes: Any) -> Scores:
        """Return the scores with other options of the fit."""
        lab = replace(self.lab, recipe=replace(BASE, **changes))
        return lab.scores(lab.fitted())

    def of_kind(self, kind: Callable[..., Any], **options: Any) -> Scores:
        """Return the scores of another fit."""
        return self.lab.scores(self.lab.fitted(kind=partial(kind, **options)))


def plain(case: Case) -> Scores:
    """Return the scores of what the others change."""
    return case.lab.scores(case.table)


def kept(case: Case) -> Scores:
    """Return the scores of the table of `distill`."""
    return case.lab.scores(case.product)


def index_alone(case: Case) -> Scores:
    """Return the scores without sentences."""
    seen = case.lab.passages.lessons
    return case.lab.scores(case.lab.fitted(lessons=seen))


def sentences_alone(case: Case) -> Scores:
    """Return the scores without the vectors of the index, but for their ranking."""
    count = len(case.lab.lessons.texts) - len(case.lab.passages.texts)
    lessons = case.lab.lessons.lessons[np.arange(count)]
    return case.lab.scores(case.lab.fitted(lessons=lessons))


def firsts_first(case: Case) -> Scores:
    """Return the scores with titles and first sentences as the first that are read."""
    return case.other(order=lambda texts: sorted(texts, key=lambda one: one not in case.firsts))


def three_fits(case: Case) -> Scores:
    """Return the scores of the mean of three tables, which differ by the order of their lessons."""
    more = [case.lab.fitted(seed=case.seed + 100 * number) for number in (1, 2)]
    return case.lab.scores(np.mean([case.table, *more], axis=0, dtype=np.float32))


def map_after(strength: float, case: Case) -> Scores:
    """Return the scores with a linear map after the fit."""
    return case.lab.scores(case.lab.mapped(case.table, strength))


def weighted(weight: float, case: Case) -> Scores:
    """Return the scores with another weight of the ranking, and a linear map after the fit."""
    return case.with_recipe(contrast=weight, map_penalty=PENALTY)


def map_before(strength: float, case: Case) -> Scores:
    """Return the scores with a linear map of the initial table."""
    start = case.lab.mapped(case.lab.start, strength)
    return case.lab.scores(case.lab.fitted(start=start))


def maps_around(before: float, after: float, case: Case) -> Scores:
    """Return the scores with linear maps of the initial and of the fitted table."""
    start = case.lab.mapped(case.lab.start, before)
    table = case.lab.fitted(start=start)
    return case.lab.scores(case.lab.mapped(table, after))


def own_document(share: float, case: Case) -> Scores:
    """Return the scores with sentences drawn to their documents."""
    return case.lab.scores(fits.drawn_to_source(case.lab, share))


def own_document_of_firsts(share: float, case: Case) -> Scores:
    """Return the scores with titles and first sentences drawn to their documents."""
    return case.lab.scores(fits.drawn_to_source(case.lab, share, case.firsts))


def bigrams(least: int, case: Case) -> Scores:
    """Return the scores with rows of pairs of tokens."""
    lab = fits.with_bigrams(case.lab, least)
    return lab.scores(lab.fitted())


def residual(hidden: int, case: Case) -> Scores:
    """Return the scores with a perceptron after the table."""
    options = replace(BASE, most_epochs=10, rate=5e-4, last_rate=5e-5)
    return case.lab.scores_of(fits.residual(case.lab, case.table, hidden, options))


def with_bm25(weight: float, case: Case) -> Scores:
    """Return the scores with BM25 of the student's own tokens added to the cosine."""
    lab, words = case.lab, weight * fits.bm25(case.lab)

    def encode(side: Side) -> Matrix:
        return unit(np.asarray(side.bags @ case.table, np.float32))

    queries, documents = encode(lab.queries), encode(lab.documents)
    ranked = lab.quality(queries @ lab.documents.vectors.T + words)
    return {
        **lab.scores(case.table),
        "queries_only": float(np.mean(ranked)),
        "both_sides": float(np.mean(lab.quality(queries @ documents.T + words))),
        "per_query": [round(value, 5) for value in ranked],
    }


def with_bm25_fused(case: Case) -> Scores:
    """Return the scores of the table of `distill`, fused with BM25."""
    return fused_scores(case.lab, case.product)


VARIANTS: Mapping[str, Callable[[Case], Scores]] = {
    PLAIN: plain,
    KEPT: kept,
    FUSED: with_bm25_fused,
    "linear map after the fit, .1": partial(map_after, PENALTY),
    "map after, .1, weight 8": partial(weighted, 8.0),
    "map after, .1, weight 16": partial(weighted, 16.0),
    "map after, .1, weight 32": partial(weighted, 32.0),
    "linear map after the fit, .01": partial(map_after, 0.01),
    "linear map after the fit, 1": partial(map_after, 1.0),
    "linear map before the fit, .1": partial(map_before, 0.1),
    "linear map before the fit, 1": partial(map_before, 1.0),
    "linear maps before, 1, and after, .1": partial(maps_around, 1.0, 0.1),
    "linear maps before, 5, and after, .1": partial(maps_around, 5.0, 0.1),
    "own document, .1": partial(own_document, 0.1),
    "own document, .3": partial(own_document, 0.3),
    "own document of titles and first sentences, .3": partial(own_document_of_firsts, 0.3),
    "mean of three fits": three_fits,
    "mean of the last half of the epochs": lambda case: case.lab.scores(
        fits.mean_of_epochs(case.lab)
    ),
    "held back to the start, 3": lambda case: case.of_kind(
        fits.HeldBack, strength=3.0, to_zero=False
    ),
    "norm penalty, 1": lambda case: case.of_kind(fits.HeldBack, strength=1.0, to_zero=True),
    "hard neighbors: 64 anchors a text": lambda case: case.of_kind(fits.NearestAnchors, count=64),
    "titles and first sentences read first": firsts_first,
    "residual of 64 units": partial(residual, 64),
    "BM25 in the score, .3": partial(with_bm25, 0.3),
    "words from 5 occurrences": lambda case: case.other(often=5),
    "word pieces alone": lambda case: case.other(often=None),
    "bigrams of 10 occurrences": partial(bigrams, 10),
    "index's vectors alone": index_alone,
    "sentences alone": sentences_alone,
    "half of the steps": lambda case: case.with_recipe(steps=400, most_epochs=20),
    "half of the sentences": lambda case: case.other(texts=TEXTS // 2),
    "twice the sentences": lambda case: case.other(texts=2 * TEXTS),
    "no ranking of the index": lambda case: case.with_recipe(contrast=0.0),
}


def measure(
    task: Task, teacher: Remembering, chosen: Iterable[str], seeds: Iterable[int], place: Path
) -> None:
    """Write the scores of variants to a file, after each one, with some seeds."""
    kept: dict[str, dict[str, Any]] = json.loads(place.read_text()) if place.exists() else {}
    labels = list(chosen)
    for seed in seeds:
        case = Case(task, seed, teacher)
        for label in labels:
            runs = kept.setdefault(label, {})
            if str(seed) not in runs:
                started = perf_counter()
                runs[str(seed)] = {**VARIANTS[label](case), "teacher": case.lab.teacher}
                place.write_text(json.dumps(kept))
                share = [runs[str(seed)][key] for key in ("queries_only", "both_sides")]
                share = [f"{100 * one / np.mean(case.lab.teacher):.1f}" for one in share]
                seconds = perf_counter() - started
                print(task.name, seed, label, *share, f"{seconds:.0f} s", flush=True)


def place_of(task: Task) -> Path:
    """Return the file of a task's scores."""
    return collection_folder(f"ablation-{task.name}.json")


def ablate(
    tasks: Sequence[Task],
    teacher: Remembering,
    chosen: Sequence[str] = (),
    seeds: Sequence[int] = SEEDS,
) -> None:
    """Measure variants on tasks: those whose labels begin with a word of `chosen`, or all."""
    labels = [label for label in VARIANTS if not chosen or label.startswith(tuple(chosen))]
    for task in tasks:
        measure(task, teacher, labels, seeds, place_of(task))


def saved() -> dict[str, Any]:
    """Return the results as they were saved last; empty if they never were."""
    place = RESULTS / "distilling.json"
    return json.loads(place.read_text()) if place.exists() else {}


def results() -> dict[str, Any]:
    """Return what has been measured of each task: shares of the teacher's quality by variant.

    What has not been measured in this checkout stays as it is in the results. Of a task of which
    only the command was measured, there is its label, and no variant.
    """
    found: dict[str, Any] = saved().get("tasks", {})
    for task in TASKS:
        command = collection_folder(f"command-{task.name}.json")
        if command.exists():
            entry = found.setdefault(task.name, {"label": task.label, "variants": {}})
            entry["command"] = json.loads(command.read_text())
        if not place_of(task).exists():
            continue
        measured = json.loads(place_of(task).read_text())
        before = found.get(task.name, {})
        teacher = next(iter(next(iter(measured.values())).values()))["teacher"]
        rows = {
            label: summed_up(measured[label], teacher) for label in VARIANTS if measured.get(label)
        }
        found[task.name] = {
            **before,
            "label": task.label,
            "queries": len(teacher),
            "teacher": float(np.mean(teacher)),
            "variants": before.get("variants", {}) | rows,
        }
    return found


def summed_up(runs: Mapping[str, Scores], teacher: Sequence[float]) -> dict[str, Any]:
    """Return the shares of the teacher's quality by seed, and the interval of their mean.

    The interval has 95 % of 5,000 bootstrap samples of the queries.
    """
    sides, first = ("queries_only", "both_sides"), next(iter(runs.values()))
    whole = np.mean(teacher)
    drawn = np.random.default_rng(1).integers(len(teacher), size=(5_000, len(teacher)))
    ours = np.mean([run["per_query"] for run in runs.values()], axis=0)
    ratios = ours[drawn].mean(axis=1) / np.array(teacher)[drawn].mean(axis=1)
    return {
        **{side: [round(float(run[side] / whole), 5) for run in runs.values()] for side in sides},
        "interval": [round(float(one), 5) for one in np.percentile(ratios, [2.5, 97.5])],
        **{
            key: round(float(np.mean([run[key] for run in runs.values()])), 5)
            for key in ("cosine", "agreement", "gain")
        },
        **({"fused": [run["fused"] for run in runs.values()]} if "fused" in first else {}),
    }
