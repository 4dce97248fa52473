"""How a student answers beside its teacher, by people's judgments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from indexes.search.searchers import VectorSearcher
from indexes.search.snapshot import Snapshot
from retriever.collection import Collection
from retriever.comparison.test_set import Qrels, TestSet
from retriever.embedders import Embedder
from retriever.evaluation.measures import drop_self, evaluate, mean
from retriever.indexing.fingerprints import check_teacher
from retriever.search.finders import DenseFinder
from retriever.search.retriever import Retriever

MEASURE = "nDCG@10"


@dataclass(frozen=True)
class Judged:
    """nDCG@10 over `queries` queries: of the teacher; of the student's queries over the teacher's
    vectors; of the student on both sides, None where it has no index.
    """

    queries: int
    teacher: float
    student_queries: float
    student: float | None


@dataclass(frozen=True)
class _StudentOver(DenseFinder):
    """The vectors of a teacher's index, asked by a student that no index names yet."""

    def _check(self, snapshot: Snapshot) -> None:
        view = snapshot.view(self.name)
        if isinstance(view, VectorSearcher):
            check_teacher(self.embedder.name, self.embedder, self.name, view.embedding)


def judge(
    library: Collection,
    teacher: str,
    student: Embedder,
    index: str | None,
    queries: Mapping[str, str],
    qrels: Qrels,
) -> Judged:
    """Ask the teacher's index by teacher and student, and the student's `index`, if it has one.

    Hits whose id is the query's are left out. Errors as in `comparing.compare`.
    """
    asked = TestSet.of(library, queries, qrels, measures=[MEASURE], k=10, keep_self=False)
    by_teacher = library.retriever(teacher)
    by_student = replace(by_teacher, finder=_StudentOver(teacher, student))
    return Judged(
        queries=len(asked.queries),
        teacher=_value(by_teacher, asked),
        student_queries=_value(by_student, asked),
        student=None if index is None else _value(library.retriever(index), asked),
    )


def _value(retriever: Retriever, asked: TestSet) -> float:
    # One more, since a query's own document may be left out.
    run = retriever.run(asked.queries, asked.depth + 1)
    return mean(evaluate(drop_self(run.ranking), asked.qrels, asked.measures)[MEASURE])
