"""The report of a training, and the part of it that is stored with the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from retriever.indexing.report import BuildReport
from retriever.training.word_vectors.intrinsic_scores import WordScore
from retriever.training.word_vectors.settings import TrainingSettings

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


def facts_of(report: TrainReport) -> dict[str, Any]:
    """Return the part of a report that `training.json` stores."""
    return {
        **{name: getattr(report, name) for name in STORED},
        "seconds": round(report.seconds, 3),
        "scores": [vars(score) for score in report.scores],
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {library: _version(library) for library in LIBRARIES},
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


def _version(library: str) -> str:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return "unknown"
