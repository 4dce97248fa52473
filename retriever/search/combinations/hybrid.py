"""Combinations of finders: fusion of several, or reranking (a cascade) of one by another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.catalog.filters.conditions import Filter
from indexes.errors import MismatchError
from indexes.neighbors import NO_KEY, Keys, Matrix, Neighbors, best
from indexes.search.snapshot import Snapshot
from retriever.embedders.base import is_sparse
from retriever.indexing.inspection import CONVEX
from retriever.search.combinations.fusion import Fusion
from retriever.search.finders import DenseFinder, Finder, LexicalFinder
from retriever.search.queries import Queries


@dataclass(frozen=True)
class Combination:
    """What fusions, cascades and escalations share."""

    name: str
    parts: Sequence[Finder]
    definition: Mapping[str, Any]

    def prepare(self, queries: Queries) -> None:
        """Encode the queries for every part."""
        for part in self.parts:
            part.prepare(queries)

    def notes(self, queries: Queries) -> Sequence[Sequence[str]]:
        """Return the notes of all parts, each once."""
        notes = [part.notes(queries) for part in self.parts]
        return [
            tuple(dict.fromkeys(note for of_part in of_query for note in of_part))
            for of_query in zip(*notes, strict=True)
        ]

    def missing(self, snapshot: Snapshot, folder: Path) -> Sequence[str]:
        """Return the notes of all parts on missing documents, each once."""
        notes = [note for part in self.parts for note in part.missing(snapshot, folder)]
        return tuple(dict.fromkeys(notes))

    def depth(self) -> float:
        """Return the depth of the combination, or the smallest of one that it is made of."""
        own = float(self.definition["depth"])
        return min(own, *(part.depth() for part in self.parts))

    def _check(self, snapshot: Snapshot) -> None:
        """Raise if another process has made another combination under this name."""
        if snapshot.searchers.definition(self.name) != self.definition:
            raise MismatchError(f"'{self.name}' has been rebuilt from other parts or another way.")


@dataclass(frozen=True)
class FusedFinder(Combination):
    """Several finders with their answers fused into one."""

    fusion: Fusion

    def modalities(self) -> Sequence[str]:
        """Return what any part finds documents by: the others add nothing."""
        return sorted({one for part in self.parts for one in part.modalities()})

    def nearest(
        self, snapshot: Snapshot, queries: Queries, k: int, where: Filter | None = None
    ) -> Neighbors:
        """Return the `k` documents with the highest fused scores."""
        self._check(snapshot)
        depth = self.fusion.depth
        answers = [part.nearest(snapshot, queries, depth, where) for part in self.parts]
        if self.fusion.method == CONVEX:
            candidates = _each_once(snapshot, [answer.keys for answer in answers])
            return best(candidates, self._totals(snapshot, queries, candidates), k)
        return self._fused(snapshot, answers, k)

    def scores(self, snapshot: Snapshot, queries: Queries, keys: Keys) -> Neighbors:
        """Rank given documents by every part, and fuse those rankings."""
        self._check(snapshot)
        if self.fusion.method == CONVEX:
            return Neighbors(keys, self._totals(snapshot, queries, keys))
        answers = [_own_scores(part, snapshot, queries, keys) for part in self.parts]
        ordered = [best(*_without_unscored(answer), keys.shape[1]) for answer in answers]
        return _in_place(snapshot, self._fused(snapshot, ordered, keys.shape[1]), keys)

    def _totals(self, snapshot: Snapshot, queries: Queries, keys: Keys) -> Matrix:
        """Return the sum of what the parts contribute; -inf for what none could have found."""
        totals, found = np.zeros(keys.shape), np.zeros(keys.shape, bool)
        for number, part in enumerate(self.parts):
            scores = part.scores(snapshot, queries, keys).scores.astype(np.float64)
            totals += self.fusion.values(scores, number)
            found |= _could_find(part, scores)
        return np.where(found, totals, -np.inf).astype(np.float32)

    def _fused(self, snapshot: Snapshot, answers: Sequence[Neighbors], k: int) -> Neighbors:
        keys = np.concatenate([answer.keys for answer in answers], axis=1)
        scores = [answer.scores.astype(np.float64) for answer in answers]
        shares = [self.fusion.values(one, part) for part, one in enumerate(scores)]
        values = np.concatenate(shares, axis=1)
        documents = snapshot.documents(keys)
        out = _nothing(keys)
        for row in range(len(keys)):
            found = np.flatnonzero(keys[row] != NO_KEY)
            # A document is represented by its passage in the first part that has it.
            _, first, of = np.unique(documents[row, found], return_index=True, return_inverse=True)
            out.keys[row, : len(first)] = keys[row, found][first]
            totals = np.bincount(of, values[row, found], minlength=len(first))
            out.scores[row, : len(first)] = totals
        return best(out.keys, out.scores, k)


@dataclass(frozen=True)
class CascadedFinder(Combination):
    """Reranking: the first finds `depth` candidates, the second ranks exactly those.

    Candidates that the second cannot score, without a vector for example, are left out.
    """

    def modalities(self) -> Sequence[str]:
        """Return what both parts take: the second could not rank by anything else."""
        first, second = self.parts
        return [one for one in first.modalities() if one in second.modalities()]

    def nearest(
        self, snapshot: Snapshot, queries: Queries, k: int, where: Filter | None = None
    ) -> Neighbors:
        """Return the `k` best candidates by the second's scores; ties in the first's order."""
        self._check(snapshot)
        first, second = self.parts
        found = first.nearest(snapshot, queries, self.definition["depth"], where)
        keys, scores = _without_unscored(second.scores(snapshot, queries, found.keys))
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        ranked = np.take_along_axis(keys, order, axis=1)
        return Neighbors(ranked, np.take_along_axis(scores, order, axis=1))

    def scores(self, snapshot: Snapshot, queries: Queries, keys: Keys) -> Neighbors:
        """Return the second's scores: the candidates are given already."""
        self._check(snapshot)
        return self.parts[1].scores(snapshot, queries, keys)


def combined_finder(name: str, definition: Mapping[str, Any], parts: Sequence[Finder]) -> Finder:
    """Return the finder that a definition describes, over its parts in their order."""
    if "cascade" in definition:
        return CascadedFinder(name, parts, definition)
    method, weights = definition["fuse"], tuple(definition["weights"])
    fusion = Fusion(method, weights, definition["rrf_k"], definition["depth"])
    return FusedFinder(name, parts, definition, fusion)


def single_indexes(finder: Finder) -> Iterator[Finder]:
    """Yield the indexes that a finder combines, at any depth, in order; or itself."""
    if isinstance(finder, Combination):
        for part in finder.parts:
            yield from single_indexes(part)
    else:
        yield finder


def part_with_vectors(finder: Finder) -> str | None:
    """Return the name of a part that finds documents by vectors; None if words alone find them.

    What ranks candidates that another part has found does not count.
    """
    if isinstance(finder, LexicalFinder):
        return None
    if not isinstance(finder, Combination):
        return finder.name
    finding = finder.parts[:1] if "cascade" in finder.definition else finder.parts
    return next((name for part in finding if (name := part_with_vectors(part))), None)


def _each_once(snapshot: Snapshot, lists: Sequence[Keys]) -> Keys:
    """Return the documents of several lists, each by its passage in the first that has it."""
    keys = np.concatenate(lists, axis=1)
    documents = snapshot.documents(keys)
    for row, of in zip(keys, documents, strict=True):
        _, first = np.unique(of, return_index=True)
        row[np.delete(np.arange(len(row)), first)] = NO_KEY
    return keys


def _own_scores(part: Finder, snapshot: Snapshot, queries: Queries, keys: Keys) -> Neighbors:
    """Return a part's scores of given documents, for those that it could have found itself."""
    found = part.scores(snapshot, queries, keys)
    own = np.where(_could_find(part, found.scores), found.scores, -np.inf)
    return Neighbors(found.keys, own)


def _could_find(part: Finder, scores: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return which documents a part could have found itself, by its scores of them."""
    found: NDArray[np.bool_] = np.isfinite(scores)
    if isinstance(part, LexicalFinder) or _by_terms(part):
        # BM25 and sparse vectors find no document without a shared term: it has no rank.
        found &= scores > 0
    return found


def _by_terms(part: Finder) -> bool:
    return isinstance(part, DenseFinder) and is_sparse(part.embedder)


def _without_unscored(found: Neighbors) -> tuple[Keys, NDArray[np.float32]]:
    return np.where(np.isfinite(found.scores), found.keys, NO_KEY), found.scores


def _nothing(keys: Keys) -> Neighbors:
    return Neighbors(np.full(keys.shape, NO_KEY), np.full(keys.shape, -np.inf, np.float32))


def _in_place(snapshot: Snapshot, found: Neighbors, keys: Keys) -> Neighbors:
    """Return answers in the order of the requested documents; -inf for those without one."""
    wanted, got = snapshot.documents(keys), snapshot.documents(found.keys)
    out = _nothing(keys)
    for row in range(len(keys)):
        place = {document: column for column, document in enumerate(got[row].tolist())}
        for column, document in enumerate(wanted[row].tolist()):
            if document != NO_KEY and document in place:
                out.keys[row, column] = found.keys[row, place[document]]
                out.scores[row, column] = found.scores[row, place[document]]
    return out
