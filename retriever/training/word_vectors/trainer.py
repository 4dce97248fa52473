"""Word vectors trained on a collection's own texts, kept inside it, and an index over them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

from indexes.errors import InputError
from retriever.collection import Collection
from retriever.embedders.base import Matrix
from retriever.embedders.registry import load_embedder, parse_spec
from retriever.embedders.static.options import StaticOptions
from retriever.indexing.plan import check_dtype
from retriever.training.checkpoint import Checkpoint
from retriever.training.job import Stages, TrainingJob, silent_stages
from retriever.training.word_vectors.cooccurrence import count_pairs
from retriever.training.word_vectors.corpus_files import (
    WordFiles,
    read_word_files,
    vocabulary_of,
    write_word_files,
)
from retriever.training.word_vectors.gensim_models import NeuralModel
from retriever.training.word_vectors.glove import factorise, x_max_of
from retriever.training.word_vectors.intrinsic_scores import ScoreFiles, WordScore, score_words
from retriever.training.word_vectors.report import TrainReport, facts_of, report_of
from retriever.training.word_vectors.saving import (
    SUBWORDS,
    VECTORS,
    read_facts,
    write_facts,
    write_vectors,
)
from retriever.training.word_vectors.settings import (
    FASTTEXT,
    GLOVE,
    Settings,
    epochs_of,
    settings_of,
)


def train(
    library: Collection,
    kind: str,
    name: str,
    *,
    dim: int = 100,
    epochs: int | None = None,
    window: int | None = None,
    min_count: int = 5,
    max_vocab: int | None = None,
    seed: int = 1,
    workers: int | None = None,
    cbow: bool = False,
    x_max: float | None = None,
    buckets: int | None = None,
    build: bool = True,
    options: Mapping[str, Any] | None = None,
    analogies: str | os.PathLike[str] | None = None,
    similarities: Sequence[str | os.PathLike[str]] | None = None,
    stages: Stages | None = None,
) -> TrainReport:
    """Train word vectors on the texts of a collection, and build the index `name` over them.

    `kind` is `word2vec`, `fasttext` or `glove`; see `Settings` for the numbers and `settings.py`
    for what they are where they are None. The texts are titles and texts, split and lower-cased
    like the texts of `StaticEmbedder`. The model lies in the collection's folder `models/NAME`, in
    the format of word2vec, a fastText model with its subwords beside it. `options` are those of
    `StaticEmbedder` for the index, such as `{"weighting": "sif"}`, and `dtype`. Scores go by the
    files of `analogies` and `similarities`, or by those that gensim ships.

    An interrupted training goes on after its last whole epoch when the same call is made on the
    same documents; a finished one is not made again. The same seed gives the same vectors, to the
    bit, for `glove`, and for the others with `workers=1`.

    Raises:
        UnknownNameError: a kind that there is not.
        InputError: a number out of its range, no documents, fewer than two words, a bad name.
        CollectionError: a model or an index of that name is there, or the disk is full.
        LockedError: another process is training it.
    """
    settings = settings_of(
        kind,
        dim=dim,
        epochs=epochs,
        window=window,
        min_count=min_count,
        max_vocab=max_vocab,
        seed=seed,
        workers=workers,
        cbow=cbow,
        x_max=x_max,
        buckets=buckets,
    )
    embedding = dict(options or {})
    dtype = embedding.pop("dtype", None)  # How vectors are stored is no matter of the embedder's.
    _check_before_hours_of_work(embedding, dtype, settings.dim)
    files = ScoreFiles.read(analogies, similarities)
    training = _Training(TrainingJob(library, name), settings, stages or silent_stages)
    report = training.run(files, indexed=build)
    if not build:
        return report
    with (stages or silent_stages)(f"building {name}") as progress:
        embedder = load_embedder(parse_spec(f"static:{report.path}", embedding))
        built = library.build(name, embedder, dtype=dtype, progress=progress)
    return replace(report, build=built)


def _check_before_hours_of_work(options: Mapping[str, Any], dtype: str | None, dim: int) -> None:
    """Refuse what the index would be refused for, when all is trained."""
    known = dict(parse_spec("static:of-no-name-yet", options).options)
    known = {
        name: value for name, value in known.items() if name not in {"phrases", "trust_pickle"}
    }
    StaticOptions(**known).check_width(dim)
    check_dtype(dtype)


@dataclass(frozen=True)
class _Learnt:
    """Vectors in the vocabulary's order, and how they came to be."""

    vocabulary: Mapping[str, int]
    vectors: Matrix
    losses: tuple[float, ...]
    resumed_after: int
    seconds: float
    facts: Mapping[str, Any]
    model: NeuralModel | None


@dataclass(frozen=True)
class _Training:
    """One training of one collection."""

    making: TrainingJob
    settings: Settings
    stages: Stages

    def run(self, files: ScoreFiles, *, indexed: bool) -> TrainReport:
        """Train and put the model in its place, unless the same one stands there."""
        self.making.check()
        identity = {"settings": self.settings.facts(), "corpus": self.making.corpus()}
        if self.making.place.exists():
            return self._found(identity)
        if indexed:
            self.making.check_index()
        with Checkpoint.opened(self.making.place.parent, self.making.name, identity) as work:
            words = self._words(work, identity["corpus"])
            learnt = self._learn(work, words)
            scores = score_words(files, list(learnt.vocabulary), learnt.vectors)
            report = self._report(words, learnt, scores)
            with work.result(self.making.place) as folder:
                self._save(folder, learnt, {**identity, **facts_of(report), **learnt.facts})
        return report

    # -- before ---------------------------------------------------------------------------------

    def _found(self, identity: Mapping[str, Any]) -> TrainReport:
        """The report of a model that is there, where it is the one that was asked for."""
        facts = read_facts(self.making.place)
        same = {key: facts.get(key) for key in identity} == json.loads(json.dumps(identity))
        if not same or not self._path.is_file():
            raise self.making.is_another("these settings make")
        return report_of(facts, self.settings, self.making.name, self._path)

    # -- the work -------------------------------------------------------------------------------

    def _words(self, work: Checkpoint, corpus: Mapping[str, Any]) -> WordFiles:
        words = read_word_files(work.path)
        if words is not None:
            return words
        with self.stages("reading texts") as progress:
            documents = self.making.library.documents()
            words = write_word_files(work.path, documents, len(self.making.library), progress)
        self.making.check_unchanged(corpus)
        return words

    def _learn(self, work: Checkpoint, words: WordFiles) -> _Learnt:
        settings, place = self.settings, f"{self.making.library.path}/"
        vocabulary = vocabulary_of(words.counts, settings.min_count, settings.max_vocab, place)
        losses: list[float] = []
        facts: dict[str, Any] = {}
        model = None
        if settings.kind == GLOVE:
            started = perf_counter()
            x_max = x_max_of(settings, words.words)
            with self.stages("counting pairs of words") as progress:
                pairs = count_pairs(
                    work.path, words.files, vocabulary, settings.window, settings.seed, progress
                )
            if not pairs.total:
                raise InputError(
                    f"No text of {place} holds two of the {len(vocabulary):,} words that are to be "
                    "trained. Add longer documents, or lower --min-count (min_count)."
                )
            with self.stages(f"training {self.making.name}") as progress:
                vectors, losses, done = factorise(
                    pairs, len(vocabulary), settings, x_max, work, progress
                )
            facts = {"x_max": x_max, "pairs": pairs.total}
        else:
            model = NeuralModel(settings, vocabulary, words.texts)
            started = perf_counter()  # Loading gensim is no training.
            with self.stages(f"training {self.making.name}") as progress:
                done = model.train(words, work, progress)
            vectors = model.vectors()
        return _Learnt(
            vocabulary=vocabulary,
            vectors=vectors,
            losses=tuple(losses),
            resumed_after=done,
            seconds=perf_counter() - started,
            facts=facts,
            model=model,
        )

    def _save(self, folder: Path, learnt: _Learnt, facts: Mapping[str, Any]) -> None:
        write_vectors(folder / VECTORS, learnt.vocabulary, learnt.vectors)
        if self.settings.kind == FASTTEXT and learnt.model is not None:
            learnt.model.save_subwords(folder / SUBWORDS)
        write_facts(folder, facts)

    def _report(
        self, words: WordFiles, learnt: _Learnt, scores: tuple[WordScore, ...]
    ) -> TrainReport:
        return TrainReport(
            kind=self.settings.kind,
            name=self.making.name,
            path=self._path,
            vocabulary=len(learnt.vocabulary),
            words=words.words,
            texts=words.texts,
            epochs=epochs_of(self.settings, words.words),
            resumed_after=learnt.resumed_after,
            seconds=learnt.seconds,
            repeatable=self.settings.repeatable,
            losses=learnt.losses,
            scores=scores,
            already=False,
            build=None,
        )

    @property
    def _path(self) -> Path:
        return self.making.place / (SUBWORDS if self.settings.kind == FASTTEXT else VECTORS)
