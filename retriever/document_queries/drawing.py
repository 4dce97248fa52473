"""Queries of many documents: of each, those of several kinds in turn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from indexes.document import Document
from retriever.document_queries.kinds import Parts, query_of

# More documents are drawn than queries are wanted by this factor: some are repeated by others.
SPARE = 1.25
# A document's id, a query of it, what is left of its text, and the kind of the query.
Drawn = tuple[str, str, str, str]


def queries_by_kind(
    documents: Iterable[Document],
    kinds: Sequence[str],
    frequencies: Mapping[str, int],
    total: int,
) -> Iterator[list[Drawn]]:
    """Yield the queries of each document that gives any.

    The kind of the first one goes by turns; a document without it begins with the next.
    `frequencies` are the numbers of documents with a word, of `total`; only keywords need them.
    """
    turn = 0
    for document in documents:
        parts = Parts(document, frequencies, total)
        ordered = [*kinds[turn:], *kinds[:turn]]
        found = [(kind, made) for kind in ordered if (made := query_of(parts, kind))]
        if found:
            yield [(document.doc_id, query, rest, kind) for kind, (query, rest) in found]
            turn = (turn + 1) % len(kinds)


def in_rounds(pool: Sequence[Sequence[Drawn]], count: int) -> list[Drawn]:
    """Return `count` queries: one of each drawn document, then the next of each, ..."""
    most = max(map(len, pool), default=0)
    rounds = (queries[turn] for turn in range(most) for queries in pool if turn < len(queries))
    return list(rounds)[:count]
