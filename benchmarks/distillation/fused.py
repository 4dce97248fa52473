"""A student's queries fused with BM25, against its teacher's: whether the two can be told apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.distillation.lab import Lab, best
from retriever import Collection
from retriever.embedders.base import Matrix, unit
from retriever.evaluation.significance import differences
from retriever.indexing.inspection import CONVEX, MINMAX
from retriever.search.combinations.escalation import DEFAULT_MARGIN
from retriever.search.combinations.fusion import DEPTH, Fusion

MIN_MAX = Fusion(MINMAX, (1.0, 1.0))
# The weights of BM25 and of vectors that are best in the mean of the six tasks.
EXACT = Fusion(CONVEX, (0.4, 0.6))


def fused_scores(lab: Lab, table: Matrix) -> dict[str, Any]:
    """Return the scores of a student fused with BM25, as an index `fused-fast` has them.

    `fused` has nDCG@10 of the teacher fused so, by min-max and by exact scores (`convex`), and the
    differences of the student's queries to it: by min-max, by exact scores, and by exact scores to
    the teacher by min-max. `escalated` has that by exact scores where the teacher encodes only the
    queries that an escalation gives it, and the share of those.
    """
    words = bm25_of(lab)
    queries, documents = (
        unit(np.asarray(side.bags @ table, np.float32)) for side in (lab.queries, lab.documents)
    )
    passages = lab.documents.vectors
    sides = queries @ passages.T, queries @ documents.T, lab.queries.vectors @ passages.T
    fast, both, teacher = (lab.quality(fuse(words, dense)) for dense in sides)
    by_scores = [fuse(words, dense, EXACT) for dense in sides[::2]]
    unsure = lead(by_scores[0]) < DEFAULT_MARGIN
    mixed = np.where(unsure[:, None], by_scores[1], by_scores[0])
    exact_fast, exact, escalated = map(lab.quality, (*by_scores, mixed))
    return {
        **lab.scores(table),
        "queries_only": float(np.mean(fast)),
        "both_sides": float(np.mean(both)),
        "per_query": [round(value, 5) for value in fast],
        "fused": {
            "teacher": float(np.mean(teacher)),
            **_difference(teacher, fast),
            "convex": {"teacher": float(np.mean(exact)), **_difference(exact, exact_fast)},
            "convex_to_minmax": _difference(teacher, exact_fast),
            "escalated": {"share": float(unsure.mean()), **_difference(exact, escalated)},
        },
    }


def lead(scores: Matrix) -> Matrix:
    """Return how far the best score of each row is ahead of the next one."""
    following, first = np.partition(scores, -2, axis=1)[:, -2:].T
    return np.asarray(first - following)


def _difference(before: Sequence[float], after: Sequence[float]) -> dict[str, float]:
    """Return the mean difference of values by query, its interval and p."""
    keys = list(map(str, range(len(before))))
    one, other = (dict(zip(keys, some, strict=True)) for some in (before, after))
    found = differences(one, {"other": other})["other"]
    return {"difference": found.mean, "low": found.low, "high": found.high, "p": found.p}


def bm25_of(lab: Lab) -> Matrix:
    """Return BM25 scores (queries, documents); -inf where no term is shared."""
    place = {doc_id: number for number, doc_id in enumerate(lab.doc_ids)}
    found = np.full((len(lab.queries.texts), len(place)), -np.inf, np.float32)
    with (
        TemporaryDirectory() as folder,
        Collection.create(Path(folder) / "library") as library,
    ):
        library.add(lab.task.documents())
        library.build("bm25", lexical=True)
        queries = {str(row): text for row, text in enumerate(lab.queries.texts)}
        run = library.retriever("bm25").run(queries, len(place))
        for row, hits in run.ranking.items():
            for doc_id, score in hits:
                found[int(row), place[doc_id]] = score
    return found


def fuse(words: Matrix, dense: Matrix, fusion: Fusion = MIN_MAX) -> Matrix:
    """Return the fused scores (queries, documents) of the best `DEPTH` of both; others have 0."""
    found = [_best(scores) for scores in (words, dense)]
    if fusion.method == CONVEX:
        found = [found[0] | found[1]] * 2
        # What shares no term has a BM25 of 0.
        words = np.where(np.isfinite(words), words, np.float32(0))
    parts = zip(found, (words, dense), strict=True)
    values = [
        fusion.values(np.where(some, scores, -np.inf).astype(np.float64), part)
        for part, (some, scores) in enumerate(parts)
    ]
    return np.asarray(sum(values), np.float32)


def _best(scores: Matrix) -> NDArray[np.bool_]:
    """Return where the best `DEPTH` finite scores of each row are."""
    found = np.zeros(scores.shape, np.bool_)
    for row, some in zip(found, scores, strict=True):
        row[best(some, DEPTH)] = True
    return found & np.isfinite(scores)
