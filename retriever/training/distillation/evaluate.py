"""Evaluation of a student against its teacher, by relevance judgments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from indexes.search.snapshot import Snapshot
from indexes.search.vector_searcher import VectorSearcher
from retriever.collection import Collection
from retriever.comparison.system_run import deep_enough, settle
from retriever.comparison.test_set import Qrels, TestSet
from retriever.embedders import Embedder
from retriever.evaluation.measures import evaluate, mean
from retriever.indexing.fingerprints import check_teacher
from retriever.search.finders import DenseFinder
from retriever.search.retriever import Retriever

MEASURE = "nDCG@10"


@dataclass(frozen=True)
class StudentScores:
    """nDCG@10 over `queries` queries.

    `teacher` is that of the teacher's index, `student_queries` that of the student's query vectors
    on the teacher's document vectors, `student` that of the student's index, None without one.
    """

    queries: int
    teacher: float
    student_queries: float
    student: float | None


@dataclass(frozen=True)
class _StudentFinder(DenseFinder):
    """A search of the teacher's vectors with queries of a student that has no index yet."""

    def _check(self, snapshot: Snapshot) -> None:
        view = snapshot.searchers.of(self.name)
        if isinstance(view, VectorSearcher):
            check_teacher(self.embedder.name, self.embedder, self.name, view.embedding)


def judged_test_set(library: Collection, queries: Mapping[str, str], qrels: Qrels) -> TestSet:
    """Return the test set that `evaluate_student` needs; errors are those of `compare`."""
    return TestSet.of(library, queries, qrels, measures=[MEASURE], k=10)


def evaluate_student(
    library: Collection,
    teacher: str,
    student: Embedder,
    index: str | None,
    test_set: TestSet,
) -> StudentScores:
    """Evaluate the teacher's index with both query encoders, and the student's `index`, if any.

    Values are those of `compare`.
    """
    by_teacher = library.retriever(teacher)
    by_student = replace(by_teacher, finder=_StudentFinder(teacher, student))
    return StudentScores(
        queries=len(test_set.queries),
        teacher=_value(by_teacher, test_set),
        student_queries=_value(by_student, test_set),
        student=None if index is None else _value(library.retriever(index), test_set),
    )


def _value(retriever: Retriever, test_set: TestSet) -> float:
    encoded, run = retriever.encode_and_run(test_set.queries, deep_enough(test_set))
    ranking = settle(retriever, encoded, run, test_set)[0].ranking
    return mean(evaluate(ranking, test_set.qrels, test_set.measures)[MEASURE])
