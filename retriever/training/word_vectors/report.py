"""The report of a training, and the files of its model: vectors and a record of the training."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from retriever.embedders.base import Matrix
from retriever.indexing.reports import BuildReport
from retriever.training.word_vectors.intrinsic_scores import WordScore
from retriever.training.word_vectors.settings import TrainingSettings

VECTORS, SUBWORDS, FACTS = "vectors.bin", "model.bin", "training.json"
LIBRARIES = ("retriever-compare", "gensim", "numpy", "scipy")
STORED = ("vocabulary", "words", "texts", "epochs", "resumed_after", "repeatable", "losses")


@dataclass(frozen=True)
class TrainReport:
    """Result of a call of `train`.

    `path` is what `StaticEmbedder` (or gensim) loads. `vocabulary` words were learned from `words`
    word occurrences, known or not, in `texts` texts. `seconds` is the time of training alone, for
    the epochs from `resumed_after` on; it is 0 if the model existed `already`. `losses` are GloVe's
    mean pair losses per epoch. `build` is the report of the index; None without one.
    """

    kind: str
    name: str
    path: Path
    vocabulary: int
    words: int
    texts: int
    epochs: int
    resumed_after: int
    seconds: float
    repeatable: bool
    losses: tuple[float, ...]
    scores: tuple[WordScore, ...]
    already: bool = False
    build: BuildReport | None = None

    @property
    def words_per_second(self) -> float | None:
        """Word occurrences trained per second; None if nothing was trained."""
        trained = self.words * (self.epochs - self.resumed_after)
        return trained / self.seconds if self.seconds else None


def write_vectors(path: Path, words: Iterable[str], vectors: Matrix) -> None:
    """Write word2vec's binary format: a line `words width`, then word, space, floats per word."""
    rows = np.ascontiguousarray(vectors, "<f4")
    with path.open("wb") as file:
        file.write(f"{len(rows)} {rows.shape[1]}\n".encode())
        for word, row in zip(words, rows, strict=True):
            file.write(f"{word} ".encode() + row.tobytes() + b"\n")


def write_facts(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write `training.json`."""
    (folder / FACTS).write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", "utf-8")


def facts_of(report: TrainReport) -> dict[str, Any]:
    """Return the part of a report that `training.json` stores."""
    return {
        **{name: getattr(report, name) for name in STORED},
        "seconds": round(report.seconds, 3),
        "scores": [vars(score) for score in report.scores],
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {library: metadata.version(library) for library in LIBRARIES},
    }


def report_of(
    facts: Mapping[str, Any], settings: TrainingSettings, name: str, path: Path
) -> TrainReport:
    """Build the report of an existing model from what `training.json` stores."""
    return TrainReport(
        kind=settings.kind,
        name=name,
        path=path,
        **{name: facts[name] for name in ("vocabulary", "words", "texts", "epochs")},
        resumed_after=facts["epochs"],
        seconds=0.0,
        repeatable=settings.repeatable,
        losses=tuple(facts["losses"]),
        scores=tuple(WordScore(**score) for score in facts["scores"]),
        already=True,
    )
