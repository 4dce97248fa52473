"""A table that answers like a contextual embedding, fitted on a collection's own texts.

After Hinton et al. 2015 and model2vec (Tulkens and van Dongen 2024), with what those lack: the
teacher reads the sentences of the corpus at hand, and the vectors that an index has of its
documents are lessons too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from indexes.errors import InputError
from retriever.collection import Collection
from retriever.comparison.test_set import Qrels
from retriever.embedders import ContextualEmbedder, Embedder, StaticEmbedder
from retriever.embedders.base import Matrix
from retriever.indexing.fingerprints import vector_fingerprint
from retriever.indexing.report import BuildReport
from retriever.training.checkpoint import Checkpoint
from retriever.training.distillation.bags import Bags, start_of
from retriever.training.distillation.evaluate import Judged, judge
from retriever.training.distillation.export import read_facts, write_folder
from retriever.training.distillation.student import Recipe, TrainingSet, fit
from retriever.training.distillation.teacher import Budget, TeacherVectors, teach
from retriever.training.distillation.tokenizer import meanings, student_tokenizer
from retriever.training.distillation.training_texts import general, of_documents, sample, shuffled
from retriever.training.job import Stages, TrainingJob, silent_stages

# The order of everything that is drawn, and what is fitted to it: another one begins anew.
VERSION = 1
HELD_OUT, HELD_OUT_SHARE = 1_000, 20
# Where a corpus has fewer titles and sentences, general ones make up for them.
ENOUGH = 5_000
MOST_PASSAGES = 20_000
ANCHORS = 1_000
TOKENIZER = "tokenizer.json"
# How many fit a batch best, being that short: see benchmarks/README.md.
TOKENS_AT_ONCE = 256


@dataclass(frozen=True)
class DistillReport:
    """What a call of `distill` did.

    `path` is what `StaticEmbedder` and `SentenceTransformer` load. The student learnt from `texts`
    titles and sentences and from `passages` vectors of the teacher's index. `cosine` is the mean
    cosine of student and teacher on `held_out` texts that it did not learn from. `encoding_seconds`
    the teacher took, `fitting_seconds` the table. `build` is the report of the index, None where
    none was asked for, `judged` what people's judgments say, where there were any. `already`: it
    was there, made from the same documents.
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
    already: bool = False
    build: BuildReport | None = None
    judged: Judged | None = None

    @property
    def read(self) -> int:
        """How many titles and sentences the teacher read: `texts` of a call that repeats it."""
        return self.texts + self.held_out


def distill(
    library: Collection,
    name: str,
    *,
    teacher: str,
    seconds: float | None = None,
    texts: int | None = None,
    precision: str | None = None,
    seed: int = 1,
    recipe: Recipe = Recipe(),  # noqa: B008 - frozen
    build: bool = True,
    queries: Mapping[str, str] | None = None,
    qrels: Qrels | None = None,
    stages: Stages | None = None,
) -> DistillReport:
    """Fit a table of token vectors to the embedder of an index, on the collection's own texts.

    `teacher` is the index. Its embedder encodes titles and sentences of the documents, as queries
    are encoded, for `seconds` or until there are `texts` of them, whichever comes first; for 120
    seconds where neither is given. The vectors that the index has already are used as they are.
    `precision` is that of the encoding, see `ContextualEmbedder`; without one it is bfloat16 where
    the processor computes with it.

    The student lies in the collection's folder `models/NAME`: a sentence-transformers
    `StaticEmbedding`, which loads without this library. An index `name` over it is built, too,
    unless `build` is false; `Collection.build(..., vectors=teacher, queries_by=name)` has it encode
    the queries of its teacher's vectors. With `queries` and `qrels`, both are judged.

    An interrupted call goes on with what was encoded when it is made again; a finished one is not
    done again, whatever its `seconds` and `texts` were. The same seed, `texts` and precision give
    the same table on the same machine, unless `seconds` cut it short.

    Raises:
        UnknownNameError: no such index.
        InputError: it has no vectors, there is nothing to learn from, a number out of its range, or
            queries without judgments.
        CollectionError: a model or an index of that name is there, or the disk is full.
        LockedError: another process is at it.
    """
    budget = Budget.of(seconds, texts)
    if type(seed) is not int or seed < 0:
        raise InputError(f"seed is {seed!r}; expected a whole number of at least 0.")
    if (queries is None) != (qrels is None):
        raise InputError("Queries and judgments (qrels) belong together: give both, or neither.")
    work = _Distilling(TrainingJob(library, name), teacher, seed, recipe, stages or silent_stages)
    report = work.run(budget, precision, indexed=build)
    student = StaticEmbedder(report.path)
    if build:
        with work.stages(f"building {name}") as progress:
            report = replace(report, build=library.build(name, student, progress=progress))
    if queries is not None and qrels is not None:
        index = name if build else None
        report = replace(report, judged=judge(library, teacher, student, index, queries, qrels))
    return report


@dataclass(frozen=True)
class _Distilling:
    """One student of one index."""

    making: TrainingJob
    teacher: str
    seed: int
    recipe: Recipe
    stages: Stages

    def run(self, budget: Budget, precision: str | None, *, indexed: bool) -> DistillReport:
        """Fit a student and put it in its place, unless the same one stands there."""
        self.making.check()
        embedder = self.making.library.embedder(self.teacher)
        identity = self._identity(embedder)
        if self.making.place.exists():
            if precision is not None:
                identity["precision"] = _precision_of(_at_precision(embedder, precision))
            return self._found(identity)
        if indexed:
            self.making.check_index()
        # It may have to load the model again: not before that is needed.
        fast = _at_precision(embedder, precision)
        kept = {**identity, "precision": _precision_of(fast)}
        with Checkpoint.opened(self.making.place.parent, self.making.name, kept) as work:
            lessons = self._lessons(work.path, fast, budget)
            self.making.check_unchanged(identity["corpus"])
            return self._fitted(work, lessons, fast, kept)

    def _identity(self, teacher: Embedder) -> dict[str, Any]:
        """What decides a student, but for how much it was taught."""
        return {
            "teacher": {
                "name": teacher.name,
                "fingerprint": vector_fingerprint(teacher.fingerprint),
            },
            "corpus": self.making.corpus(),
            "recipe": asdict(self.recipe),
            "seed": self.seed,
            "version": VERSION,
        }

    def _found(self, identity: Mapping[str, Any]) -> DistillReport:
        """The report of a student that is there, where it is the one that was asked for."""
        facts = read_facts(self.making.place)
        if {key: facts.get(key) for key in identity} != identity:
            raise self.making.is_another(f"distilling '{self.teacher}' makes")
        return DistillReport(
            name=self.making.name,
            teacher=self.teacher,
            path=self.making.place,
            already=True,
            **facts["report"],
        )

    # -- the work -------------------------------------------------------------------------------

    def _lessons(self, folder: Path, teacher: Embedder, budget: Budget) -> _Taught:
        """All that the student learns from, encoded by the teacher."""
        documents = sample(self.making.library.documents(), len(self.making.library), self.seed)
        texts = shuffled(of_documents(documents), self.seed)
        texts += general(ENOUGH - len(texts))
        tokenizer = student_tokenizer(_tokenizer_of(teacher), texts)
        (folder / TOKENIZER).write_text(tokenizer, "utf-8")
        names = meanings(tokenizer)
        with self.stages(f"{teacher.name} reads single tokens") as progress:
            at_once = _in_batches(teacher)
            pieces = teach(folder, "tokens", names, at_once.encode_queries, Budget(), progress)
        with self.stages(f"{teacher.name} reads sentences") as progress:
            read = teach(folder, "texts", texts, teacher.encode_queries, budget, progress)
        return _Taught(tokenizer, pieces, read)

    def _fitted(
        self, work: Checkpoint, taught: _Taught, teacher: Embedder, kept: Mapping[str, Any]
    ) -> DistillReport:
        passages, vectors = self._passages()
        bags = Bags(work.path / TOKENIZER)
        held = min(HELD_OUT, len(taught.read.texts) // HELD_OUT_SHARE)
        read = TrainingSet(bags.of(taught.read.texts), taught.read.vectors)
        seen = TrainingSet(bags.of(passages), vectors)
        lessons = read[held:].and_also(seen) if len(read) else seen
        started = perf_counter()
        with self.stages(f"fitting {self.making.name}") as progress:
            fitted = fit(
                start_of(taught.pieces.vectors, seen.tokens),
                lessons,
                read[:held],
                vectors[:: max(1, len(vectors) // ANCHORS)],
                self.recipe,
                self.seed,
                progress,
            )
        report = DistillReport(
            name=self.making.name,
            teacher=self.teacher,
            path=self.making.place,
            texts=len(read) - held,
            passages=len(seen),
            held_out=held,
            cosine=round(fitted.cosine, 6),
            epochs=fitted.epochs,
            encoding_seconds=round(taught.seconds, 3),
            fitting_seconds=round(perf_counter() - started, 3),
            precision=_precision_of(teacher),
        )
        facts = {**kept, "report": _facts_of(report)}
        with work.result(self.making.place) as folder:
            write_folder(folder, fitted.table, taught.tokenizer, facts)
        return report

    def _passages(self) -> tuple[list[str], Matrix]:
        """Texts of the teacher's index with their vectors, evenly spread where there are many."""
        texts, vectors = list[str](), list[Matrix]()
        for some, found in self.making.library.embedded(self.teacher, most=MOST_PASSAGES):
            texts += some
            vectors.append(found)
        if not texts:
            raise InputError(
                f"Index '{self.teacher}' has no vectors to learn from. Bring it up to date first: "
                f"retriever build {self.making.quoted} {self.teacher}"
            )
        return texts, np.concatenate(vectors)


@dataclass(frozen=True)
class _Taught:
    """The student's tokenizer, and what the teacher made of single tokens and of texts."""

    tokenizer: str
    pieces: TeacherVectors
    read: TeacherVectors

    @property
    def seconds(self) -> float:
        """What the teacher took."""
        return self.pieces.seconds + self.read.seconds


def _tokenizer_of(teacher: Embedder) -> str | None:
    return teacher.tokenizer_json if isinstance(teacher, ContextualEmbedder) else None


def _precision_of(teacher: Embedder) -> str:
    return teacher.precision if isinstance(teacher, ContextualEmbedder) else "its own"


def _at_precision(teacher: Embedder, precision: str | None) -> Embedder:
    """The teacher as it is soonest done, or at the precision that was asked for.

    Raises:
        InputError: it has no precision to choose.
    """
    if isinstance(teacher, ContextualEmbedder):
        return teacher.in_precision(precision)
    if precision is not None:
        raise InputError(f"{teacher.name} has no precision to choose: leave it out.")
    return teacher


def _in_batches(teacher: Embedder) -> Embedder:
    return (
        teacher.in_batches(TOKENS_AT_ONCE) if isinstance(teacher, ContextualEmbedder) else teacher
    )


def _facts_of(report: DistillReport) -> dict[str, Any]:
    """What `retriever.json` keeps of a report."""
    left_out = {"name", "teacher", "path", "already", "build", "judged"}
    return {key: value for key, value in asdict(report).items() if key not in left_out}
