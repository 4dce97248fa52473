"""One distillation taken apart: its lessons with the teacher's vectors, and a quick evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.distillation.tasks import Remembering, Task
from indexes.catalog.document_rows import whole_text
from retriever.embedders.base import Matrix, unit
from retriever.embedders.static.token_table import TOKENIZER
from retriever.embedders.tokenization.subword_tokenizer import TextTokenizer
from retriever.evaluation.measures import evaluate
from retriever.training.distillation.distill import (
    ENOUGH,
    MOST_PASSAGES,
    TOKENS_AT_ONCE,
)
from retriever.training.distillation.held_out import TaughtTexts, divide, not_among
from retriever.training.distillation.student import (
    FitOptions,
    TableFit,
    TrainingSet,
    at_most,
    initial_table,
    mapped,
    run_epochs,
)
from retriever.training.distillation.teacher import TEXTS
from retriever.training.distillation.tokenizer import (
    OFTEN,
    bags_of,
    student_tokenizer,
    token_texts,
)
from retriever.training.distillation.training_texts import (
    general_sentences,
    shuffled,
    titles_and_sentences,
)

MEASURE = "nDCG@10"
# Rankings of held-out texts are compared in their first so many.
FIRST = 10
Order = Callable[[Sequence[str]], Sequence[str]]


@dataclass(frozen=True)
class Side:
    """Texts of one kind: what a student reads of them, and the teacher's unit vectors."""

    texts: Sequence[str]
    bags: Any
    vectors: Matrix

    @property
    def lessons(self) -> TrainingSet:
        """The same as lessons."""
        return TrainingSet(self.bags, self.vectors)


@dataclass(frozen=True)
class Lab:
    """A distillation of one task by one seed, up to the fit; documents have no empty ones.

    `of_document` is the document that each lesson is from, or -1. `recipe` is that of its fits,
    which rank `most_anchors` of the documents at most.
    """

    task: Task
    seed: int
    tokenizer: TextTokenizer
    start: Matrix
    lessons: Side
    of_document: NDArray[np.int64]
    passages: Side
    held_out: Side
    documents: Side
    doc_ids: Sequence[str]
    queries: Side
    recipe: FitOptions
    most_anchors: int

    @cached_property
    def anchors(self) -> Matrix:
        """Return the documents' vectors that are ranked."""
        return at_most(self.most_anchors, self.documents.vectors)

    @cached_property
    def judged(self) -> tuple[list[str], Mapping[str, Mapping[str, int]]]:
        """Return the ids of the queries, and the judgments."""
        return list(self.task.queries()), self.task.qrels()

    def fitted(self, **changes: Any) -> Matrix:
        """Return the table of the last epoch, mapped if the recipe says so.

        `changes` are those of `epochs`.
        """
        *_, last = self.epochs(**changes)
        penalty = self.recipe.map_penalty
        return last.table if penalty is None else self.mapped(last.table, penalty)

    def epochs(
        self,
        *,
        kind: Callable[[Matrix, Matrix, FitOptions], TableFit] = TableFit,
        start: Matrix | None = None,
        seed: int | None = None,
        lessons: TrainingSet | None = None,
    ) -> Iterator[TableFit]:
        """Yield the fit after each epoch; its table is changed by the next one."""
        table = (self.start if start is None else start).copy()
        fitting = kind(table, self.anchors, self.recipe)
        lessons = self.lessons.lessons if lessons is None else lessons
        for _ in run_epochs(fitting, lessons, seed or self.seed, lambda *_: None):
            yield fitting

    def mapped(self, table: Matrix, penalty: float) -> Matrix:
        """Return a table after a linear map to the teacher's vectors of the lessons."""
        return mapped(table, self.lessons.lessons, penalty)

    def scores(self, table: Matrix) -> dict[str, Any]:
        """Return what a table reaches; see `scores_of`."""
        return self.scores_of(lambda side: unit(np.asarray(side.bags @ table, np.float32)))

    def scores_of(self, encode: Callable[[Side], Matrix]) -> dict[str, Any]:
        """Return nDCG@10 per query and its mean, and how it ranks for the held-out texts.

        `agreement` is the mean overlap of the ten passages that are nearest to each held-out text
        by the student and by the teacher; `gain` the share of the best possible sum of the
        teacher's cosines, discounted by rank, above the mean cosine.
        """
        queries, held_out = encode(self.queries), encode(self.held_out)
        ranked = self.quality(queries @ self.documents.vectors.T)
        both = self.quality(queries @ encode(self.documents).T)
        return {
            "queries_only": float(np.mean(ranked)),
            "both_sides": float(np.mean(both)),
            "cosine": float(np.mean((held_out * self.held_out.vectors).sum(axis=1))),
            **self.agreement(held_out),
            "per_query": [round(value, 5) for value in ranked],
        }

    def quality(self, scores: Matrix) -> list[float]:
        """Return nDCG@10 of each query, from scores of (queries, documents)."""
        keys, qrels = self.judged
        run = {
            key: [(self.doc_ids[place], float(row[place])) for place in best(row, 3 * FIRST)]
            for key, row in zip(keys, scores, strict=True)
        }
        return list(evaluate(run, qrels, [MEASURE])[MEASURE].values())

    @cached_property
    def teacher(self) -> list[float]:
        """Return the teacher's nDCG@10 of each query."""
        return self.quality(self.queries.vectors @ self.documents.vectors.T)

    def agreement(self, held_out: Matrix) -> dict[str, float]:
        """Return how near the ranking of passages for held-out texts is to the teacher's."""
        passages = self.documents.vectors
        right, ours = self.held_out.vectors @ passages.T, held_out @ passages.T
        discount = 1 / np.log2(np.arange(FIRST) + 2)
        overlaps, gains = [], []
        for wanted, found in zip(right, ours, strict=True):
            top, got = best(wanted, FIRST), best(found, FIRST)
            overlaps.append(len({*top} & {*got}) / len(top))
            above = wanted - wanted.mean()
            shown = discount[: len(top)]
            gains.append(float(above[got] @ shown / (above[top] @ shown)))
        return {"agreement": float(np.mean(overlaps)), "gain": float(np.mean(gains))}


def best(scores: Matrix, count: int) -> NDArray[np.int64]:
    """Return the places of the highest scores, highest first."""
    count = min(count, len(scores))
    found = np.argpartition(-scores, count - 1)[:count]
    return np.asarray(found[np.argsort(-scores[found], kind="stable")], np.int64)


def prepare(
    task: Task,
    seed: int,
    teacher: Remembering,
    *,
    recipe: FitOptions,
    most_anchors: int,
    often: int | None = OFTEN,
    texts: int = TEXTS,
    order: Order = list,
) -> Lab:
    """Return what `distill` has before it fits, for collections of up to `MOST_PASSAGES`.

    Tokens that occur in no text here have no vector.
    `order` moves those of the shuffled titles and sentences to the front that are to be read.
    """
    records = [one for one in task.documents() if whole_text(one).strip()]
    assert len(records) <= MOST_PASSAGES
    own = list(order(shuffled(titles_and_sentences(records), seed)))
    every = list(dict.fromkeys(own + general_sentences(ENOUGH - len(own))))
    tokenizer_json = student_tokenizer(teacher.tokenizer_json, every, often=often)
    with TemporaryDirectory() as folder:
        path = Path(folder) / TOKENIZER
        path.write_text(tokenizer_json, "utf-8")
        tokenizer = TextTokenizer(path)

    def side(some: Sequence[str], vectors: Matrix | None = None) -> Side:
        known = teacher.encode_queries(some) if vectors is None else vectors
        return Side(some, bags_of(tokenizer, some), known)

    documents = side([whole_text(one) for one in records])
    passages = TaughtTexts(documents.texts, documents.vectors)
    unread = not_among(every, documents.texts)[:texts]
    parts = divide(own, TaughtTexts(unread, teacher.encode_queries(unread)), passages, records)
    seen = side(parts.passages.texts, parts.passages.vectors)
    source = {text: place for place, text in enumerate(documents.texts)}
    for place, one in enumerate(records):
        source.update(dict.fromkeys(titles_and_sentences([one]), place))
    taught = side(
        [*parts.read.texts, *seen.texts], np.concatenate([parts.read.vectors, seen.vectors])
    )
    held_out = side(parts.held_out.texts, parts.held_out.vectors)
    queries = side(list(task.queries().values()))
    # The other tokens keep their vectors, and are in no text here.
    used = {
        int(token) for one in (taught, held_out, documents, queries) for token in one.bags.indices
    }
    names = token_texts(tokenizer_json)
    needed = [token for token in sorted(used) if names[token]]
    tokens = np.zeros((len(names), teacher.dim), np.float32)
    tokens[needed] = teacher.in_batches(TOKENS_AT_ONCE).encode_queries(
        [names[one] for one in needed]
    )
    return Lab(
        task,
        seed,
        tokenizer,
        initial_table(tokens, seen.bags),
        taught,
        np.array([source.get(text, -1) for text in taught.texts], np.int64),
        seen,
        held_out,
        documents,
        [one.doc_id for one in records],
        queries,
        recipe,
        most_anchors,
    )
