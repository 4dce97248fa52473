"""Indexes whose best documents a model ranks, for one comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from indexes.errors import InputError
from retriever.collection import Collection
from retriever.indexing.info import IndexInfo
from retriever.indexing.inspection import cascade_info
from retriever.indexing.reranker_pool import RERANKER, reranker_record
from retriever.rerankers.registry import load_reranker, parse_reranker
from retriever.search.combinations.fusion import cascade_definition
from retriever.search.reranked import reranked
from retriever.search.retriever import Retriever


@dataclass(frozen=True)
class Reranked:
    """Indexes with their best documents ranked by a model, and the definition of that."""

    retrievers: Sequence[Retriever] = ()
    first: Sequence[str] = ()
    definition: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        collection: Collection,
        retrievers: Sequence[Retriever],
        by: str | None,
        depth: int,
        options: Mapping[str, Any] | None = None,
    ) -> Reranked:
        """Load the model `by`, such as `cross-encoder:MODEL`; nothing is reranked without one.

        Raises:
            InputError: there are options without a model, or one is unknown or invalid.
        """
        if by is None:
            if options:
                raise InputError(
                    "rerank_options are those of a model: give rerank_by='KIND:MODEL' with them."
                )
            return cls()
        reranker = load_reranker(parse_reranker(by, options or {}))
        kept = {RERANKER: reranker_record(reranker, collection.path)}
        return cls(
            [reranked(one, reranker, depth) for one in retrievers],
            [one.name for one in retrievers],
            {**cascade_definition(depth=depth), **kept},
        )

    def infos(self, known: Mapping[str, IndexInfo]) -> dict[str, IndexInfo]:
        """Return what is known of them, by name."""
        pairs = zip(self.retrievers, self.first, strict=True)
        return {r.name: cascade_info(r.name, known[f], self.definition) for r, f in pairs}
