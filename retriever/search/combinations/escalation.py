"""Escalation: queries of which a cheap index is not sure are answered by an expensive one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from indexes.catalog.filters.conditions import Filter
from indexes.errors import InputError, short_repr
from indexes.neighbors import Keys, Neighbors, nothing
from indexes.search.snapshot import Snapshot
from indexes.values import is_number
from retriever.indexing.inspection import CONVEX, ESCALATE, MARGIN, MINMAX
from retriever.search.combinations.hybrid import Combination
from retriever.search.finders import Finder
from retriever.search.queries import Queries

# Found on six collections: the first index and the second cannot be distinguished then; see
# benchmarks/README.md.
DEFAULT_MARGIN = 0.15


@dataclass(frozen=True)
class EscalatedFinder(Combination):
    """The first answers; the second answers the queries of which the first is not sure.

    The first is a fusion whose scores run from 0 to 1. It is sure of a query if its best document
    is `margin` or more ahead of the next one: then no query is encoded for the second. A predictor
    of effectiveness that chooses the strategy of a query (Arabzadeh, Yan and Clarke 2021,
    "Predicting Efficiency/Effectiveness Trade-offs for Dense vs. Sparse Retrieval Strategy
    Selection").
    """

    def modalities(self) -> Sequence[str]:
        """Return what either takes: the first finds nothing for what it cannot read."""
        return sorted({one for part in self.parts for one in part.modalities()})

    def prepare(self, queries: Queries) -> None:
        """Encode the queries for the first; those that it is not sure of are known later."""
        self.parts[0].prepare(queries)

    def depth(self) -> float:
        """Return the smaller depth of both."""
        return min(part.depth() for part in self.parts)

    def nearest(
        self, snapshot: Snapshot, queries: Queries, k: int, where: Filter | None = None
    ) -> Neighbors:
        """Return the `k` best documents by the first, or by the second where that is not sure."""
        self._check(snapshot)
        first, second = self.parts
        # At least two, whatever k is: a larger one only appends.
        found = first.nearest(snapshot, queries, max(k, 2), where)
        places, some = self._escalate(queries, found)
        found = Neighbors(found.keys[:, :k], found.scores[:, :k])
        if not places:
            return found
        return _replaced(found, places, second.nearest(snapshot, some, k, where))

    def scores(self, snapshot: Snapshot, queries: Queries, keys: Keys) -> Neighbors:
        """Return the scores of given documents by the part that answers, or answered, the query."""
        self._check(snapshot)
        first, second = self.parts
        # Those of a search before, which may have had a filter.
        known = queries.escalated.get(self.name)
        places, some = known or self._escalate(queries, first.nearest(snapshot, queries, 2))
        found = first.scores(snapshot, queries, keys)
        if not places:
            return found
        return _replaced(found, places, second.scores(snapshot, some, keys[places]))

    def notes(self, queries: Queries) -> Sequence[Sequence[str]]:
        """Return the notes of the first, and of the second on the queries that it answered."""
        notes = list(self.parts[0].notes(queries))
        places, some = queries.escalated.get(self.name, ([], queries))
        if places:
            for place, more in zip(places, self.parts[1].notes(some), strict=True):
                notes[place] = tuple(dict.fromkeys((*notes[place], *more)))
        return notes

    def _escalate(self, queries: Queries, found: Neighbors) -> tuple[list[int], Queries]:
        """Return the places of the queries that the second answers, and these, encoded for it."""
        scores = np.where(np.isfinite(found.scores), found.scores.astype(np.float64), 0.0)
        best, following = np.pad(scores, ((0, 0), (0, 2)))[:, :2].T
        places = np.flatnonzero(best - following < self.definition[MARGIN]).tolist()
        some = queries.subset(places)
        if places:
            self.parts[1].prepare(some)
        queries.escalated[self.name] = places, some
        return places, some


def escalates(finder: Finder) -> bool:
    """Return whether some queries take a finder much longer than others."""
    if not isinstance(finder, Combination):
        return False
    return isinstance(finder, EscalatedFinder) or any(map(escalates, finder.parts))


def _replaced(found: Neighbors, places: Sequence[int], others: Neighbors) -> Neighbors:
    """Return answers with those of some queries replaced."""
    kept = np.delete(np.arange(len(found.keys)), places)
    out = nothing(len(found.keys), max(found.keys.shape[1], others.keys.shape[1]))
    for rows, part in ((kept, Neighbors(found.keys[kept], found.scores[kept])), (places, others)):
        width = part.keys.shape[1]
        out.keys[rows, :width], out.scores[rows, :width] = part.keys, part.scores
    return out


def escalation_definition(first: Mapping[str, Any], margin: float) -> Mapping[str, Any]:
    """Return the definition of an escalation from the index that `first` defines.

    Errors as in `Collection.escalate`.
    """
    if first.get("fuse") not in (MINMAX, CONVEX):
        raise InputError(
            "An index that escalates needs scores from 0 to 1: expected a fusion by --method "
            "minmax or convex (method='convex')."
        )
    if not is_number(margin) or not 0 < margin <= 1:
        raise InputError(f"margin is {short_repr(margin)}; expected a number above 0, up to 1.")
    return {ESCALATE: True, MARGIN: float(margin)}
