"""A student's queries fused with BM25, against its teacher's: whether the two can be told apart."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.distillation.lab import Lab, best
from retriever import Collection
from retriever.embedders.base import Matrix, unit
from retriever.evaluation.significance import differences
from retriever.indexing.info import MINMAX
from retriever.search.fusion import DEPTH, Fusion

FUSION = Fusion(MINMAX, (1.0, 1.0))


def fused_scores(lab: Lab, table: Matrix) -> dict[str, Any]:
    """Return the scores of a student fused with BM25, as an index `fused-fast` has them.

    `fused` has nDCG@10 of the teacher fused so, and the difference of the student's queries to it.
    """
    words = bm25_of(lab)
    queries, documents = (
        unit(np.asarray(side.bags @ table, np.float32)) for side in (lab.queries, lab.documents)
    )
    passages = lab.documents.vectors
    sides = queries @ passages.T, queries @ documents.T, lab.queries.vectors @ passages.T
    fast, both, teacher = (lab.quality(fuse(words, dense)) for dense in sides)
    keys = list(map(str, range(len(fast))))
    before, after = (dict(zip(keys, some, strict=True)) for some in (teacher, fast))
    found = differences(before, {"fast": after})["fast"]
    return {
        **lab.scores(table),
        "queries_only": float(np.mean(fast)),
        "both_sides": float(np.mean(both)),
        "per_query": [round(value, 5) for value in fast],
        "fused": {
            "teacher": float(np.mean(teacher)),
            "difference": found.mean,
            "low": found.low,
            "high": found.high,
            "p": found.p,
        },
    }


def bm25_of(lab: Lab) -> Matrix:
    """Return BM25 scores (queries, documents) of the best `DEPTH`; others are -inf."""
    place = {doc_id: number for number, doc_id in enumerate(lab.doc_ids)}
    found = np.full((len(lab.queries.texts), len(place)), -np.inf, np.float32)
    with (
        TemporaryDirectory() as folder,
        Collection.create(Path(folder) / "library") as library,
    ):
        library.add(lab.task.documents())
        library.build("bm25", lexical=True)
        queries = dict(enumerate(lab.queries.texts))
        answers = library.search_many(queries, index="bm25", k=DEPTH)
        for row, hits in enumerate(answers.values()):
            for hit in hits:
                found[row, place[hit.doc_id]] = hit.score
    return found


def fuse(words: Matrix, dense: Matrix) -> Matrix:
    """Return the fused scores (queries, documents) of the best `DEPTH` of both; others have 0."""
    total = np.zeros(words.shape, np.float64)
    for part, scores in enumerate((words, dense)):
        top = np.array([best(row, DEPTH) for row in scores])
        hits = np.take_along_axis(scores, top, axis=1).astype(np.float64)
        added = FUSION.values(hits, part)
        np.put_along_axis(total, top, np.take_along_axis(total, top, axis=1) + added, axis=1)
    return total.astype(np.float32)
