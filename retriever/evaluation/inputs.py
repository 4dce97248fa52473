"""Read runs and judgments that are given in Python, in any form that has one clear meaning."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from numbers import Integral
from typing import Any

import numpy as np

from indexes.errors import InputError, pluralize, short_repr
from retriever.formats.judgments import check_grade
from retriever.formatting import first_names
from retriever.search.frames import by_text_id, text_id
from retriever.search.results import Hit, Run

RunHits = Mapping[str, Sequence[tuple[str, float]]]
# What a caller may give: see `run_of` and `qrels_of`.
GivenRun = Run | Mapping[Any, Any]
GivenQrels = Mapping[Any, Any]


def run_of(run: GivenRun) -> dict[str, list[tuple[str, float]]]:
    """Return a run as query_id to (doc_id, score) pairs, in the given order.

    A query's hits may be (doc_id, score) pairs, a mapping of doc_id to score, the hits of a search,
    or doc_ids with the best first, which get the scores n to 1. Ids may be integers, which become
    text; scores may be any real numbers.

    Raises:
        InputError: something else is given; hits are a set, which has no order; a document occurs
            twice for a query; a score is not finite.
    """
    given = by_text_id("query", "the run", run.ranking if isinstance(run, Run) else run)
    return {query_id: _hits(query_id, hits) for query_id, hits in given.items()}


def without_relevant(qrels: Mapping[str, Mapping[str, int]]) -> tuple[str, ...]:
    """Return the judged queries that no document is relevant for."""
    return tuple(one for one, grades in qrels.items() if max(grades.values(), default=0) < 1)


def without_relevant_note(query_ids: Sequence[str]) -> str:
    """Return a note on judged queries that no document is relevant for."""
    have = pluralize(len(query_ids), "judged query has", "judged queries have")
    named = first_names(query_ids)
    return f"{have} no relevant document, so all systems have a quality of 0: {named}."


def qrels_of(qrels: GivenQrels) -> dict[str, dict[str, int]]:
    """Return judgments as query_id to doc_id to grade.

    A query's judgments may be a mapping of doc_id to grade, (doc_id, grade) pairs, or a list or set
    of relevant doc_ids, which get grade 1. Ids may be integers, which become text. Grades follow
    the rule of files: whole numbers, also as 2.0; any below 1 means not relevant.

    Raises:
        InputError: something else is given; a grade is no whole number, or beyond a million; one
            document has two grades for a query.
    """
    given = by_text_id("query", "the qrels", qrels)
    return {query_id: _grades(query_id, judged) for query_id, judged in given.items()}


def _hits(query_id: str, given: object) -> list[tuple[str, float]]:
    if isinstance(given, AbstractSet):
        raise InputError(
            f"The hits of query '{query_id}' are a set, which has no order; expected (doc_id, "
            "score) pairs, a mapping of doc_id to score, or a list of doc_ids, best first."
        )
    pairs, ids = _pairs(query_id, "hits", "score", given)
    pairs = [*pairs, *zip(ids, range(len(ids), 0, -1), strict=True)]
    what = f"A document id of query '{query_id}'"
    hits = [(text_id(what, key), _score(query_id, key, score)) for key, score in pairs]
    if len({doc_id for doc_id, _ in hits}) < len(hits):
        raise InputError(f"Query '{query_id}' has the same document at two ranks.")
    return hits


def _grades(query_id: str, given: object) -> dict[str, int]:
    pairs, ids = _pairs(query_id, "judgments", "grade", given)
    grades: dict[str, int] = {}
    for key, value in [*pairs, *((key, 1) for key in ids)]:
        doc_id = text_id(f"A document id of query '{query_id}'", key)
        grade = check_grade(query_id, doc_id, value)
        if grades.setdefault(doc_id, grade) != grade:
            found = f"The grade of '{doc_id}' for query '{query_id}' is"
            raise InputError(f"{found} both {grades[doc_id]} and {grade}; expected one.")
    return grades


def _pairs(
    query_id: str, what: str, value: str, given: object
) -> tuple[Iterable[tuple[Any, Any]], Sequence[Any]]:
    """Return the pairs of a query's hits or judgments, or else its plain ids."""
    if isinstance(given, Mapping):
        return given.items(), ()
    if isinstance(given, Sequence | AbstractSet | np.ndarray) and not isinstance(
        given, str | bytes
    ):
        items = [(one.doc_id, one.score) if isinstance(one, Hit) else one for one in given]
        if all(isinstance(one, tuple | list) and len(one) == 2 for one in items):
            return items, ()
        if all(isinstance(one, str | Integral) for one in items):
            return (), items
    raise InputError(
        f"The {what} of query '{query_id}' are {short_repr(given)}; expected (doc_id, {value}) "
        f"pairs, a mapping of doc_id to {value}, or a list of doc_ids."
    )


def _score(query_id: str, doc_id: object, given: Any) -> float:
    try:
        score = float(given)
    except (TypeError, ValueError, OverflowError):
        score = math.nan
    if not math.isfinite(score):
        found = f"The score of '{doc_id}' for query '{query_id}' is {short_repr(given)}"
        raise InputError(f"{found}; expected a finite number.")
    return score
