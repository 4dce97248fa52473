"""Training of word vectors on a collection's texts, stored in the collection, with an index."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any

from indexes.errors import InputError
from retriever.collection import Collection
from retriever.embedders.base import Matrix
from retriever.embedders.registry import load_embedder, parse_spec
from retriever.embedders.static.options import StaticOptions
from retriever.indexing.builds import check_dtype
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
from retriever.training.word_vectors.glove import factorize, x_max_of
from retriever.training.word_vectors.intrinsic_scores import ScoreFiles, WordScore, score_words
from retriever.training.word_vectors.report import (
    FACTS,
    SUBWORDS,
    VECTORS,
    TrainReport,
    facts_of,
    report_of,
    write_facts,
    write_vectors,
)
from retriever.training.word_vectors.settings import FASTTEXT, GLOVE, TrainingSettings, epochs_of


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

    `kind` is `word2vec`, `fasttext` or `glove`; `TrainingSettings` explains the numbers, and
    `settings.py` has their defaults. Titles and texts are split and lower-cased as by
    `StaticEmbedder`. The model is written to the collection's folder `models/NAME` in word2vec's
    format, for fastText also with its subwords. `options` are those of `StaticEmbedder` for the
    index, such as `{"weighting": "sif"}`, and `dtype`. The vectors are scored on the files
    `analogies` and `similarities`, or on those that gensim ships.

    The same call on the same documents resumes an interrupted training after its last complete
    epoch, and does not repeat a finished one. The same seed gives the same vectors, to the bit, for
    `glove`, and for the other kinds with `workers=1`.

    Raises:
        UnknownNameError: unknown kind.
        InputError: a number out of range, no documents, fewer than two words, an invalid name, or
            a file to score by that cannot be read.
        FileFormatError: a line of such a file is neither a question nor a rated pair.
        CollectionError: a different model or an index has this name, or the disk is full.
        LockedError: another process is training this model.
    """
    settings = TrainingSettings.of(
        kind, dim, epochs, window, min_count, max_vocab, seed, workers, cbow, x_max, buckets
    )
    embedding = dict(options or {})
    dtype = embedding.pop("dtype", None)  # An option of the index, not of the embedder.
    _check_index_options(embedding, dtype, settings.dim)
    files = ScoreFiles.read(analogies, similarities)
    training = _Training(TrainingJob(library, name), settings, stages or silent_stages)
    report = training.run(files, indexed=build)
    if not build:
        return report
    with (stages or silent_stages)(f"building {name}") as progress:
        embedder = load_embedder(parse_spec(f"static:{report.path}", embedding))
        built = library.build(name, embedder, dtype=dtype, progress=progress)
    return replace(report, build=built)


def _check_index_options(options: Mapping[str, Any], dtype: str | None, dim: int) -> None:
    """Raise the errors that building the index would raise after hours of training."""
    known = parse_spec("static:of-no-name-yet", options).options
    of_files = {"phrases", "trust_pickle"}
    StaticOptions(**{n: v for n, v in known.items() if n not in of_files}).check_width(dim)
    check_dtype(dtype)


@dataclass(frozen=True)
class _Trained:
    """Vectors in the vocabulary's order, with the record of their training."""

    vectors: Matrix
    seconds: float
    resumed_after: int
    losses: tuple[float, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    model: NeuralModel | None = None


@dataclass(frozen=True)
class _Training:
    """A training of word vectors on one collection."""

    job: TrainingJob
    settings: TrainingSettings
    stages: Stages

    def run(self, files: ScoreFiles, *, indexed: bool) -> TrainReport:
        """Train the model and put it in its folder, unless the same one is there."""
        self.job.check()
        settings = self.settings
        identity = {"settings": settings.facts(), "corpus": self.job.corpus()}
        if self.job.place.exists():
            facts = self.job.finished(FACTS, identity, needs=self._path)
            return report_of(facts, settings, self.job.name, self._path)
        if indexed:
            self.job.check_index()
        with Checkpoint.opened(self.job.place.parent, self.job.name, identity) as work:
            words = self._words(work, identity["corpus"])
            place = f"{self.job.library.path}/"
            try:
                vocabulary = vocabulary_of(
                    words.counts, settings.min_count, settings.max_vocab, place
                )
                train = self._glove if settings.kind == GLOVE else self._neural
                trained = train(work, words, vocabulary)
            except InputError:
                work.clear()  # the same call would be refused again
                raise
            scores = score_words(files, list(vocabulary), trained.vectors)
            report = self._report(words, len(vocabulary), trained, scores)
            with work.result(self.job.place) as folder:
                write_vectors(folder / VECTORS, vocabulary, trained.vectors)
                if trained.model is not None and settings.kind == FASTTEXT:
                    trained.model.save_subwords(folder / SUBWORDS)
                write_facts(folder, {**identity, **facts_of(report), **trained.facts})
        return report

    def _words(self, work: Checkpoint, corpus: Mapping[str, Any]) -> WordFiles:
        words = read_word_files(work.path)
        if words is not None:
            return words
        with self.stages("reading texts") as progress:
            documents = self.job.library.documents()
            words = write_word_files(work.path, documents, len(self.job.library), progress)
        self.job.check_unchanged(corpus)
        return words

    def _glove(self, work: Checkpoint, words: WordFiles, vocabulary: Mapping[str, int]) -> _Trained:
        started, settings = perf_counter(), self.settings
        x_max = x_max_of(settings, words.words)
        window, seed = settings.window, settings.seed
        with self.stages("counting word pairs") as progress:
            pairs = count_pairs(work.path, words.files, vocabulary, window, seed, progress)
        if not pairs.total:
            raise InputError(
                f"No text of {self.job.library.path}/ has two of the {len(vocabulary):,} words "
                "to train. Add longer documents, or lower --min-count (min_count)."
            )
        count = len(vocabulary)
        with self.stages(f"training {self.job.name}") as progress:
            vectors, losses, done = factorize(pairs, count, settings, x_max, work, progress)
        facts = {"x_max": x_max, "pairs": pairs.total}
        return _Trained(vectors, perf_counter() - started, done, tuple(losses), facts)

    def _neural(
        self, work: Checkpoint, words: WordFiles, vocabulary: Mapping[str, int]
    ) -> _Trained:
        model = NeuralModel(self.settings, vocabulary, words.texts)
        started = perf_counter()  # Loading gensim does not count.
        with self.stages(f"training {self.job.name}") as progress:
            done = model.train(words, work, progress)
        vectors = model.vectors()
        return _Trained(vectors, perf_counter() - started, done, model=model)

    def _report(
        self, words: WordFiles, vocabulary: int, trained: _Trained, scores: tuple[WordScore, ...]
    ) -> TrainReport:
        return TrainReport(
            kind=self.settings.kind,
            name=self.job.name,
            path=self._path,
            vocabulary=vocabulary,
            words=words.words,
            texts=words.texts,
            epochs=epochs_of(self.settings, words.words),
            resumed_after=trained.resumed_after,
            seconds=trained.seconds,
            repeatable=self.settings.repeatable,
            losses=trained.losses,
            scores=scores,
        )

    @property
    def _path(self) -> Path:
        return self.job.place / (SUBWORDS if self.settings.kind == FASTTEXT else VECTORS)
