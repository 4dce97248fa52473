"""An index whose best documents a model ranks, without a name in the catalog."""

from __future__ import annotations

from dataclasses import replace

from retriever.rerankers.base import Reranker
from retriever.search.combinations.fusion import DEPTH, cascade_definition
from retriever.search.combinations.reranking import UnnamedReranking
from retriever.search.retriever import Retriever


def reranked(retriever: Retriever, reranker: Reranker, depth: int = DEPTH) -> Retriever:
    """Return a retriever whose best `depth` documents a model ranks; it is in no catalog.

    It is named after both: `bm25+ms-marco-MiniLM-L6-v2`.
    """
    name = f"{retriever.name}+{reranker.name}"
    definition = cascade_definition(depth=depth)
    return replace(
        retriever, finder=UnnamedReranking(name, [retriever.finder], definition, reranker)
    )
