"""Which of several indexes found a document: all, some, or only one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from retriever.formatting import join_names

if TYPE_CHECKING:
    from retriever.search.results import Hits

Ranks = Mapping[str, Mapping[str, int]]


def ranks_of(answers: Mapping[str, Hits]) -> Ranks:
    """Return the rank of each hit, by index and document id."""
    return {name: {hit.doc_id: hit.rank for hit in hits} for name, hits in answers.items()}


def groups(ranks: Ranks, documents: Sequence[str]) -> dict[tuple[str, ...], list[str]]:
    """Group documents by who found them: most finders first, then the best rank first."""
    names = list(ranks)
    found_by: dict[tuple[str, ...], list[str]] = {}
    for doc_id in documents:
        finders = tuple(name for name in names if doc_id in ranks[name])
        found_by.setdefault(finders, []).append(doc_id)

    def place(doc_id: str) -> tuple[int, list[int]]:
        # Ties in the best rank are broken by the indexes in their order.
        all_ranks = [ranks[name].get(doc_id, 10**9) for name in names]
        return min(all_ranks), all_ranks

    order = sorted(found_by, key=lambda group: (-len(group), [names.index(n) for n in group]))
    return {finders: sorted(found_by[finders], key=place) for finders in order}


def found_by(finders: Sequence[str], answers: int) -> str:
    """Return `found by both`, `found by all` or `found by glove only`."""
    if len(finders) == answers:
        return f"found by {'both' if answers == 2 else 'all'}"
    return f"found by {join_names(finders)} only"
