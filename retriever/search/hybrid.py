"""Finders made of others: several fused, or the candidates of one ranked by another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.catalog.filters import Filter
from indexes.errors import MismatchError
from indexes.neighbors import NO_KEY, Keys, Neighbors, best
from indexes.search.snapshot import Snapshot
from retriever.search.finders import Finder, LexicalFinder, Queries
from retriever.search.fusion import DEPTH, Fusion


@dataclass(frozen=True)
class FusedFinder:
    """Several finders, whose answers become one."""

    name: str
    parts: Sequence[Finder]
    fusion: Fusion
    definition: Mapping[str, Any]

    def prepare(self, queries: Queries) -> None:
        """Encode the queries for every part."""
        for part in self.parts:
            part.prepare(queries)

    def nearest(
        self, snapshot: Snapshot, queries: Queries, k: int, where: Filter | None = None
    ) -> Neighbors:
        """The `k` documents that count most in all parts together."""
        _check(snapshot, self.name, self.definition)
        depth = self.fusion.depth
        answers = [part.nearest(snapshot, queries, depth, where) for part in self.parts]
        return self._fused(snapshot, answers, k)

    def scores(self, snapshot: Snapshot, queries: Queries, keys: Keys) -> Neighbors:
        """Given documents, ranked among themselves by every part, and those ranks fused."""
        _check(snapshot, self.name, self.definition)
        answers = [_of_its_own(part, snapshot, queries, keys) for part in self.parts]
        ordered = [_best_first(answer) for answer in answers]
        fused = self._fused(snapshot, ordered, keys.shape[1])
        return _in_place(snapshot, fused, keys)

    def notes(self, queries: Queries) -> Sequence[Sequence[str]]:
        """What the parts note, together."""
        return _notes_of(self.parts, queries)

    def missing(self, snapshot: Snapshot, folder: Path) -> Sequence[str]:
        """What the parts miss, together."""
        return _missing_of(self.parts, snapshot, folder)

    def _fused(self, snapshot: Snapshot, answers: Sequence[Neighbors], k: int) -> Neighbors:
        keys = np.concatenate([answer.keys for answer in answers], axis=1)
        counts = [
            self.fusion.values(answer.scores.astype(np.float64), part)
            for part, answer in enumerate(answers)
        ]
        values = np.concatenate(counts, axis=1)
        documents = _documents(snapshot, keys)
        out_keys = np.full(keys.shape, NO_KEY)
        out_scores = np.full(keys.shape, -np.inf, np.float32)
        for row in range(len(keys)):
            there = np.flatnonzero(keys[row] != NO_KEY)
            # A document is shown by its passage in the first part that has it.
            _, first, of = np.unique(documents[row, there], return_index=True, return_inverse=True)
            out_keys[row, : len(first)] = keys[row, there][first]
            totals = np.bincount(of, values[row, there], minlength=len(first))
            out_scores[row, : len(first)] = totals
        return best(out_keys, out_scores, k)


@dataclass(frozen=True)
class CascadedFinder:
    """The first finds `depth` candidates, the second ranks just those: there are never more hits.

    Candidates of which the second has nothing, no vector say, are left out.
    """

    name: str
    first: Finder
    second: Finder
    definition: Mapping[str, Any]
    depth: int = DEPTH

    @property
    def parts(self) -> Sequence[Finder]:
        """Both."""
        return (self.first, self.second)

    def prepare(self, queries: Queries) -> None:
        """Encode the queries for both."""
        for part in self.parts:
            part.prepare(queries)

    def nearest(
        self, snapshot: Snapshot, queries: Queries, k: int, where: Filter | None = None
    ) -> Neighbors:
        """The `k` best candidates by the second's scores; equal ones as the first ranks them."""
        _check(snapshot, self.name, self.definition)
        found = self.first.nearest(snapshot, queries, self.depth, where)
        scored = self.second.scores(snapshot, queries, found.keys)
        keys, scores = _without_nothing(scored)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return Neighbors(
            np.take_along_axis(keys, order, axis=1), np.take_along_axis(scores, order, axis=1)
        )

    def scores(self, snapshot: Snapshot, queries: Queries, keys: Keys) -> Neighbors:
        """The second's scores: which documents are looked at is settled already."""
        _check(snapshot, self.name, self.definition)
        return self.second.scores(snapshot, queries, keys)

    def notes(self, queries: Queries) -> Sequence[Sequence[str]]:
        """What both note, together."""
        return _notes_of(self.parts, queries)

    def missing(self, snapshot: Snapshot, folder: Path) -> Sequence[str]:
        """What both miss, together."""
        return _missing_of(self.parts, snapshot, folder)


def combined_finder(name: str, definition: Mapping[str, Any], parts: Sequence[Finder]) -> Finder:
    """The finder that a recipe tells of, over its parts in their order."""
    if "cascade" in definition:
        first, second = parts
        return CascadedFinder(name, first, second, definition, definition["depth"])
    fusion = Fusion(
        definition["fuse"], tuple(definition["weights"]), definition["rrf_k"], definition["depth"]
    )
    return FusedFinder(name, parts, fusion, definition)


def _check(snapshot: Snapshot, name: str, definition: Mapping[str, Any]) -> None:
    """Another process may have dropped a combination and made another under its name."""
    if snapshot.definition(name) != definition:
        raise MismatchError(f"'{name}' has been made anew, of other parts or in another way.")


def _of_its_own(part: Finder, snapshot: Snapshot, queries: Queries, keys: Keys) -> Neighbors:
    """A part's scores of given documents, for those that it would have found by itself."""
    found = part.scores(snapshot, queries, keys)
    if isinstance(part, LexicalFinder):
        # BM25 finds nothing without a shared term: such documents have no rank, least of all by
        # the order in which they came.
        return Neighbors(found.keys, np.where(found.scores > 0, found.scores, -np.inf))
    return found


def _documents(snapshot: Snapshot, keys: Keys) -> Keys:
    """The document of each key: the key itself where documents are not split."""
    return snapshot.owners(keys) if snapshot.is_split else keys


def _without_nothing(found: Neighbors) -> tuple[Keys, NDArray[np.float32]]:
    return np.where(np.isfinite(found.scores), found.keys, NO_KEY), found.scores


def _best_first(found: Neighbors) -> Neighbors:
    return best(*_without_nothing(found), found.keys.shape[1])


def _in_place(snapshot: Snapshot, found: Neighbors, keys: Keys) -> Neighbors:
    """Answers in the order of the documents that were asked for; -inf for what is not there."""
    wanted, got = _documents(snapshot, keys), _documents(snapshot, found.keys)
    out = Neighbors(np.full(keys.shape, NO_KEY), np.full(keys.shape, -np.inf, np.float32))
    for row in range(len(keys)):
        place = {document: column for column, document in enumerate(got[row].tolist())}
        for column, document in enumerate(wanted[row].tolist()):
            if document != NO_KEY and document in place:
                at = place[document]
                out.keys[row, column] = found.keys[row, at]
                out.scores[row, column] = found.scores[row, at]
    return out


def _notes_of(parts: Sequence[Finder], queries: Queries) -> Sequence[Sequence[str]]:
    told = [part.notes(queries) for part in parts]
    return [
        tuple(dict.fromkeys(note for notes in of_one for note in notes))
        for of_one in zip(*told, strict=True)
    ]


def _missing_of(parts: Sequence[Finder], snapshot: Snapshot, folder: Path) -> Sequence[str]:
    told = [note for part in parts for note in part.missing(snapshot, folder)]
    return tuple(dict.fromkeys(told))
