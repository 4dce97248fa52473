"""One distillation: training data, the fit, the student's folder and index.

Based on Hinton et al. 2015 and model2vec (Tulkens and van Dongen 2024).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from indexes.document import Document
from indexes.errors import InputError
from indexes.pipeline.calls import mapped
from indexes.pipeline.executors.base import Executor
from retriever.advice import shell_command
from retriever.collection import Collection
from retriever.comparison.test_set import Qrels
from retriever.embedders import ContextualEmbedder, Embedder, StaticEmbedder
from retriever.embedders.base import Matrix, vector_fingerprint
from retriever.embedders.static.token_table import EXTRAS, TOKENIZER
from retriever.embedders.tokenization.subword_tokenizer import TextTokenizer
from retriever.indexing.reports import BuildReport
from retriever.indexing.workers import QueryEncoder, WorkerEmbedder, executor_of
from retriever.training.checkpoint import Checkpoint, read_facts
from retriever.training.distillation.evaluate import (
    StudentScores,
    evaluate_student,
    judged_test_set,
)
from retriever.training.distillation.export import write_folder
from retriever.training.distillation.held_out import TaughtTexts, divide, not_among
from retriever.training.distillation.reading import Reading, Teacher, read
from retriever.training.distillation.student import (
    FitOptions,
    TrainingSet,
    at_most,
    fit,
    initial_table,
    with_means,
)
from retriever.training.distillation.teacher import (
    Budget,
    EncodeAll,
    at_precision,
    check_similarity,
)
from retriever.training.distillation.tokenizer import bags_of, student_tokenizer, token_texts
from retriever.training.distillation.training_texts import (
    general_sentences,
    sample,
    shuffled,
    titles_and_sentences,
)
from retriever.training.job import Stages, TrainingJob, silent_stages

# Version of the random draws and of the fit: a checkpoint of another version is not resumed.
VERSION = 5
# A corpus with fewer titles and sentences is filled up with general sentences.
ENOUGH = 5_000
MOST_PASSAGES = 20_000
MOST_ANCHORS = 8_000
# What helps on most collections: see the ablation in benchmarks/README.md.
RECIPE = FitOptions(steps=800, most_epochs=40, contrast=16.0, least_gain=None, map_penalty=0.1)
# The fastest batch size for single tokens: see benchmarks/README.md.
TOKENS_AT_ONCE = 256


@dataclass(frozen=True)
class DistillReport:
    """Result of a call of `distill`.

    `path` is what `StaticEmbedder` and `SentenceTransformer` load. The student was trained on
    `texts` titles and sentences and on `passages` vectors of the teacher's index. `cosine` is the
    mean cosine of student and teacher on `held_out` texts, which are in neither; the vectors of
    `held_out_known` of them are in the index, so that the teacher did not read them again.
    `encoding_seconds` is the teacher's
    time, `fitting_seconds` the student's. `general` of the texts that the teacher read are general
    English sentences, which fill up those of few or short documents. The teacher read `tokens` of
    the vocabulary. The limit of seconds left out `skipped_texts` sentences and `skipped_tokens`
    tokens; these start from the texts that have them, and the `unknown_tokens` without any are
    zero. `build` is the report
    of the index, None without one; `judged` the evaluation, None without judgments. `already`: the
    student existed before.
    """

    name: str
    teacher: str
    path: Path
    texts: int
    passages: int
    held_out: int
    cosine: float
    epochs: int
    encoding_seconds: float
    fitting_seconds: float
    precision: str
    general: int = 0
    tokens: int = 0
    skipped_texts: int = 0
    skipped_tokens: int = 0
    unknown_tokens: int = 0
    held_out_known: int = 0
    already: bool = False
    build: BuildReport | None = None
    judged: StudentScores | None = None

    @property
    def read(self) -> int:
        """Number of titles and sentences that the teacher read; as `texts`, it repeats the call."""
        return self.texts + self.held_out - self.held_out_known


def distill(
    library: Collection,
    name: str,
    *,
    teacher: str,
    seconds: float | None = None,
    texts: int | None = None,
    precision: str | None = None,
    seed: int = 1,
    recipe: FitOptions = RECIPE,
    build: bool = True,
    queries: Mapping[str, str] | None = None,
    qrels: Qrels | None = None,
    workers: int | str | None = None,
    stages: Stages | None = None,
) -> DistillReport:
    """Fit a table of token vectors to the embedder of an index, on the collection's texts.

    `teacher` names the index. Its embedder encodes the single tokens of its vocabulary, and `texts`
    titles and sentences of the documents as queries (default: 2,000, or as many as there are). The
    vectors of the index are used as they are, and their texts are not read again. `seconds` limits
    all that it reads: half of them are for tokens, the most frequent first; the table then depends
    on the speed of the machine. `precision` is that of the encoding, see `ContextualEmbedder`; the
    default is the teacher's own, and a faster one is bfloat16 where the processor supports it.

    The student is written to the collection's folder `models/NAME` as a sentence-transformers
    `StaticEmbedding`, which loads without this library. An index `name` over it is built unless
    `build` is false. `Collection.build(..., vectors=teacher, queries_by=name)` makes it encode the
    queries for its teacher's vectors. With `queries` and `qrels`, both are evaluated.

    With `workers`, as in `Collection.build`, the teacher reads on several processes or machines,
    many tokens or texts at least: of the default, some 30,000 and 2,000.

    The same call resumes an interrupted distillation with the texts encoded so far, and does not
    repeat a finished one. The same seed, `texts` and precision give the same table on any machine,
    but for rounding, unless `seconds` end the encoding first.

    Raises:
        UnknownNameError: no index has the name `teacher`.
        InputError: the index has no vectors, or does not compare them by the cosine; there are no
            documents; a number is out of range; the seconds end before there is enough to learn
            from; or only one of queries and judgments is given.
        CollectionError: a different model, or one of other `texts` or cut off by other `seconds`,
            or an index has this name; or the disk is full.
        LockedError: another process is distilling this model.
    """
    budget = Budget.of(seconds, texts)
    if type(seed) is not int or seed < 0:
        raise InputError(f"seed is {seed!r}; expected a whole number of at least 0.")
    if (queries is None) != (qrels is None):
        raise InputError("Evaluation needs queries and judgments (qrels): give both, or neither.")
    # Before the work, which may take long.
    test_set = (
        None if queries is None or qrels is None else judged_test_set(library, queries, qrels)
    )
    executor = None if workers is None else executor_of(workers)
    job = TrainingJob(library, name)
    work = _Distilling(job, teacher, seed, recipe, stages or silent_stages, executor)
    report = work.run(budget, precision, indexed=build)
    student = StaticEmbedder(report.path)
    if build:
        with work.stages(f"building {name}") as progress:
            report = replace(report, build=library.build(name, student, progress=progress))
    if test_set is not None:
        index = name if build else None
        judged = evaluate_student(library, teacher, student, index, test_set)
        report = replace(report, judged=judged)
    return report


@dataclass(frozen=True)
class _Distilling:
    """A distillation of one index."""

    job: TrainingJob
    teacher: str
    seed: int
    recipe: FitOptions
    stages: Stages
    executor: Executor | None = None

    def run(self, budget: Budget, precision: str | None, *, indexed: bool) -> DistillReport:
        """Fit the student and put it in its folder, unless the same one is there."""
        self.job.check()
        embedder = self.job.library.embedder(self.teacher)
        check_similarity(self.teacher, embedder)
        identity = self._identity(embedder)
        if self.job.place.exists():
            if precision is not None:
                _, identity["precision"] = at_precision(embedder, precision)
            asked = self._asked(budget)
            facts = self.job.finished(EXTRAS, {**identity, **asked}, needs=self.job.place)
            return self._report(facts["report"], already=True)
        if indexed:
            self.job.check_index()
        # This may load the model again, so it is done only when needed.
        fast, identity["precision"] = at_precision(embedder, precision)
        with Checkpoint.opened(self.job.place.parent, self.job.name, identity) as work:
            encoded = self._encode(work.path, fast, budget)
            self.job.check_unchanged(identity["corpus"])
            return self._fit(work, encoded, {**identity, **encoded.asked(budget)})

    def _identity(self, teacher: Embedder) -> dict[str, Any]:
        """Return everything that determines the student, except the amount of training data."""
        fingerprint = vector_fingerprint(teacher.fingerprint)
        return {
            "teacher": {"name": teacher.name, "fingerprint": fingerprint},
            "corpus": self.job.corpus(),
            "recipe": asdict(self.recipe),
            "seed": self.seed,
            "version": VERSION,
        }

    def _report(self, figures: Mapping[str, Any], *, already: bool = False) -> DistillReport:
        name, path = self.job.name, self.job.place
        return DistillReport(name, self.teacher, path, **figures, already=already)

    def _asked(self, budget: Budget) -> dict[str, Any]:
        """Return what a finished student must have been asked for to be that of this budget."""
        found = read_facts(self.job.place / EXTRAS)
        # A student that no limit of seconds has cut off is the same with any and without.
        was_cut = found.get("seconds") is not None
        return {"texts": budget.texts, **({"seconds": budget.seconds} if was_cut else {})}

    def _encode(self, folder: Path, teacher: Embedder, budget: Budget) -> _Encoded:
        """Encode single tokens and sampled texts with the teacher."""
        documents = sample(self.job.library.documents(), len(self.job.library), self.seed)
        own = shuffled(titles_and_sentences(documents), self.seed)
        # The general ones may be the documents' own.
        texts = list(dict.fromkeys(own + general_sentences(ENOUGH - len(own))))
        tokenizer_json, token_teacher = None, teacher
        if isinstance(teacher, ContextualEmbedder):
            tokenizer_json = teacher.tokenizer_json
            token_teacher = teacher.in_batches(TOKENS_AT_ONCE)
        tokenizer = student_tokenizer(tokenizer_json, texts)
        (folder / TOKENIZER).write_text(tokenizer, "utf-8")
        read_tokens, _ = TextTokenizer(folder / TOKENIZER).tokens(texts)
        names = token_texts(tokenizer)
        counts = np.bincount(read_tokens, minlength=len(names))
        passages = self._passages()
        unread = not_among(texts, passages.texts)
        encoders = token_teacher.encode_queries, teacher.encode_queries
        workers = self._by_workers(token_teacher), self._by_workers(teacher)
        reader = Teacher(teacher.name, teacher.dim, *encoders, *workers)
        reading = read(folder, names, counts, unread, reader, budget, self.stages)
        return _Encoded(tokenizer, reading, passages, own, documents)

    def _by_workers(self, teacher: Embedder) -> EncodeAll | None:
        """Return what encodes texts by workers; None without."""
        if self.executor is None:
            return None
        load = QueryEncoder(WorkerEmbedder.of(teacher, self.job.library.path))
        what = f"the texts that {teacher.name} reads"
        executor = self.executor
        return lambda lists, most: mapped(executor, load, lists, what=what, most=most)

    def _fit(
        self, work: Checkpoint, encoded: _Encoded, identity: Mapping[str, Any]
    ) -> DistillReport:
        tokenizer = TextTokenizer(work.path / TOKENIZER)
        reading = encoded.reading
        parts = divide(encoded.own, encoded.read, encoded.passages, encoded.documents)
        taught, seen, held_out = (
            TrainingSet(bags_of(tokenizer, part.texts), part.vectors)
            for part in (parts.read, parts.passages, parts.held_out)
        )
        lessons = taught.concatenate(seen)
        tokens, unread = with_means(reading.tokens, reading.unread, lessons), reading.unread
        anchors = at_most(MOST_ANCHORS, encoded.passages.vectors)
        started = perf_counter()
        with self.stages(f"fitting {self.job.name}") as progress:
            fitted = fit(
                initial_table(tokens, seen.tokens),
                lessons,
                held_out,
                anchors,
                self.recipe,
                self.seed,
                progress,
            )
        figures = {
            "texts": len(taught),
            "passages": len(seen),
            "held_out": len(held_out),
            "cosine": round(fitted.cosine, 6),
            "epochs": fitted.epochs,
            "encoding_seconds": round(reading.seconds, 3),
            "fitting_seconds": round(perf_counter() - started, 3),
            "precision": identity["precision"],
            "general": encoded.general,
            "tokens": reading.count,
            "skipped_texts": reading.skipped,
            "skipped_tokens": int(unread.sum()),
            "unknown_tokens": int((unread & ~tokens.any(axis=1)).sum()),
            "held_out_known": parts.known,
        }
        facts = {**identity, "report": figures}
        with work.result(self.job.place) as folder:
            write_folder(folder, fitted.table, encoded.tokenizer, facts)
        return self._report(figures)

    def _passages(self) -> TaughtTexts:
        """Return texts of the teacher's index with their vectors, evenly sampled if too many."""
        texts, vectors = list[str](), list[Matrix]()
        for some, found in self.job.library.embedded(self.teacher, most=MOST_PASSAGES):
            texts += some
            vectors.append(found)
        if not texts:
            raise InputError(
                f"Index '{self.teacher}' has no vectors to learn from. Update it first: "
                f"{shell_command('build', self.job.library.path, self.teacher)}"
            )
        return TaughtTexts(texts, np.concatenate(vectors))


@dataclass(frozen=True)
class _Encoded:
    """What a student learns from: tokens and texts that the teacher read, passages of its index.

    `own` are the titles and sentences of `documents`, read or not.
    """

    tokenizer: str
    reading: Reading
    passages: TaughtTexts
    own: Sequence[str]
    documents: Sequence[Document]

    @property
    def read(self) -> TaughtTexts:
        """The texts that the teacher read."""
        found, dim = self.reading.texts, self.passages.vectors.shape[1]
        return TaughtTexts(found.texts, found.vectors.reshape(len(found.texts), dim))

    @property
    def general(self) -> int:
        """How many of the texts that the teacher read are not the documents' own."""
        own = set(self.own)
        return sum(text not in own for text in self.reading.texts.texts)

    def asked(self, budget: Budget) -> dict[str, Any]:
        """Return what decides the texts: their number, and the seconds if these have cut it."""
        cut = self.reading.skipped or self.reading.unread.any()
        return {"texts": budget.texts, "seconds": budget.seconds if cut else None}
