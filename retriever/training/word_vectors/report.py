"""What a training did: its report, and what is kept of it beside the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from retriever.indexing.report import BuildReport
from retriever.training.word_vectors.intrinsic_scores import WordScore
from retriever.training.word_vectors.settings import Settings

LIBRARIES = ("retriever-compare", "gensim", "numpy", "scipy")


@dataclass(frozen=True)
class TrainReport:
    """What a call of `train` did.

    `path` is what `StaticEmbedder` (or gensim) loads. `vocabulary` words were learnt from `words`
    occurrences, known or not, in `texts` texts. `seconds` is the training alone, of the epochs from
    `resumed_after` on; both are 0 where the model was there `already`. `losses` are GloVe's, the
    mean of a pair in each epoch. `build` is the report of the index; None where none was asked for.
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
    already: bool
    build: BuildReport | None

    @property
    def words_per_second(self) -> float | None:
        """Word occurrences trained in a second; None where nothing was trained."""
        trained = self.words * (self.epochs - self.resumed_after)
        return trained / self.seconds if self.seconds else None


def facts_of(report: TrainReport) -> dict[str, Any]:
    """What `training.json` keeps of a report."""
    return {
        "vocabulary": report.vocabulary,
        "words": report.words,
        "texts": report.texts,
        "epochs": report.epochs,
        "seconds": round(report.seconds, 3),
        "resumed_after": report.resumed_after,
        "repeatable": report.repeatable,
        "losses": list(report.losses),
        "scores": [vars(score) for score in report.scores],
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {library: _version(library) for library in LIBRARIES},
    }


def report_of(facts: Mapping[str, Any], settings: Settings, name: str, path: Path) -> TrainReport:
    """The report of a model that is there already, from what was kept of its training."""
    return TrainReport(
        kind=settings.kind,
        name=name,
        path=path,
        vocabulary=facts["vocabulary"],
        words=facts["words"],
        texts=facts["texts"],
        epochs=facts["epochs"],
        resumed_after=facts["epochs"],
        seconds=0.0,
        repeatable=settings.repeatable,
        losses=tuple(facts["losses"]),
        scores=tuple(WordScore(**score) for score in facts["scores"]),
        already=True,
        build=None,
    )


def _version(library: str) -> str:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return "unknown"
