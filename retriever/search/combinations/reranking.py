"""Reranking by a model that reads the query and each candidate together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from indexes.catalog.document_rows import whole_text
from indexes.catalog.filters.conditions import Filter
from indexes.catalog.passages import FoundPassage
from indexes.errors import MismatchError
from indexes.neighbors import NO_KEY, Keys, Neighbors
from indexes.search.snapshot import Snapshot
from retriever.embedders.base import TEXT_ONLY
from retriever.rerankers.base import Candidate, Reranker
from retriever.search.combinations.hybrid import Combination
from retriever.search.queries import Queries


@dataclass(frozen=True)
class RerankingFinder(Combination):
    """The first finds `depth` candidates; a reranker scores the best passage of each.

    Candidates that it cannot read are left out, with a note that names them.
    """

    reranker: Reranker

    def modalities(self) -> Sequence[str]:
        """Return `text` if it finds candidates: a reranker reads no image as a query."""
        return [one for one in self.parts[0].modalities() if one in TEXT_ONLY]

    def nearest(
        self, snapshot: Snapshot, queries: Queries, k: int, where: Filter | None = None
    ) -> Neighbors:
        """Return the `k` best candidates by the reranker's scores; ties in the first's order."""
        self._check(snapshot)
        found = self.parts[0].nearest(snapshot, queries, self.definition["depth"], where)
        scores = self._scores(snapshot, queries, found.keys)
        keys = np.where(np.isfinite(scores), found.keys, NO_KEY)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return Neighbors(
            np.take_along_axis(keys, order, axis=1), np.take_along_axis(scores, order, axis=1)
        )

    def scores(self, snapshot: Snapshot, queries: Queries, keys: Keys) -> Neighbors:
        """Return the reranker's scores of given documents, by the passages given."""
        self._check(snapshot)
        return Neighbors(keys, self._scores(snapshot, queries, keys))

    def notes(self, queries: Queries) -> Sequence[Sequence[str]]:
        """Return the notes of the first, and one on candidates that were left out."""
        unread = queries.unread.get(self.name) or [[] for _ in queries.contents]
        return [
            (*notes, self.reranker.lacking(doc_ids)) if doc_ids else notes
            for notes, doc_ids in zip(Combination.notes(self, queries), unread, strict=True)
        ]

    def _scores(self, snapshot: Snapshot, queries: Queries, keys: Keys) -> np.ndarray:
        """Return the reranker's scores (queries, keys); -inf without a document or if unread."""
        found = snapshot.corpus.found(np.unique(keys[keys != NO_KEY]).tolist())
        scores = np.full(keys.shape, -np.inf, np.float32)
        unread = list[list[str]]()
        for row, text in enumerate(queries.contents):
            if not isinstance(text, str):
                unread.append([])
                continue
            columns = np.flatnonzero(keys[row] != NO_KEY)
            passages = [found[key] for key in keys[row, columns].tolist()]
            candidates = [
                Candidate(one.document.doc_id, self._text(snapshot, queries, row, one))
                for one in passages
            ]
            scores[row, columns] = self.reranker.scores(text, candidates)
            unread.append(
                [
                    one.doc_id
                    for one, column in zip(candidates, columns.tolist(), strict=True)
                    if scores[row, column] == -np.inf
                ]
            )
        queries.unread[self.name] = unread
        if np.isnan(scores).any():
            raise MismatchError(
                f"{self.reranker.name} gives a candidate a score that is not a number. "
                "Get its files again, or choose another model."
            )
        return scores

    def _text(self, snapshot: Snapshot, queries: Queries, row: int, passage: FoundPassage) -> str:
        """Return what query `row`'s candidate is read as.

        The text of its passage; of an image, the title and the text of its document.
        """
        return whole_text(passage.document) if passage.text is None else passage.text


@dataclass(frozen=True)
class UnnamedReranking(RerankingFinder):
    """A cascade that the catalog does not know: made for one search or comparison."""

    def _check(self, snapshot: Snapshot) -> None:
        """Accept any catalog: the parts check themselves."""
