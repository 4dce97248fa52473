"""Test set of a comparison: queries, judgments, measures and depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from indexes.errors import InputError, pluralize
from indexes.neighbors import validate_k
from retriever.collection import Collection
from retriever.evaluation.inputs import (
    GivenQrels,
    qrels_of,
    without_relevant,
    without_relevant_note,
)
from retriever.evaluation.measures import deepest_cutoff, parse_measures
from retriever.formats.lines import is_unicode
from retriever.formatting import first_names
from retriever.search.frames import DataFrame, queries_of
from retriever.search.queries import Query, validate_queries

Qrels = Mapping[str, Mapping[str, int]]

# Depth for measures without a cutoff.
WHOLE_RUN = 1_000


@dataclass(frozen=True)
class TestSet:
    """Queries of a comparison by id, with their judgments and canonical measures.

    Rankings are `depth` deep; `drops`: hits with the query's own id are dropped. `notes` name
    mismatches between queries, judgments and documents, and queries that are documents.
    """

    queries: Mapping[str, Query]
    qrels: Qrels
    measures: Sequence[str]
    k: int
    depth: int
    drops: bool
    notes: tuple[str, ...]

    @classmethod
    def of(
        cls,
        collection: Collection,
        queries: Mapping[Any, Query] | DataFrame,
        qrels: GivenQrels | None,
        *,
        measures: Sequence[str],
        k: int,
        drop_self: bool = False,
    ) -> TestSet:
        """Restrict queries to the judged ones, if any; raise the errors of `compare`."""
        validate_k(k)
        names = parse_measures(measures)
        given = None if qrels is None else qrels_of(qrels)
        texts, notes = _judged_queries(queries_of(queries), given)
        validate_queries(list(texts.values()), list(texts))
        judged = {query_id: given[query_id] for query_id in texts} if given else {}
        if lacking := without_relevant(judged):
            notes.append(without_relevant_note(lacking))
        notes += _unknown_documents(collection, judged)
        if not drop_self:
            notes += _own_documents(collection, texts)
        if not judged:
            return cls(texts, {}, (), k, depth=k, drops=drop_self, notes=tuple(notes))
        depth = max(k, deepest_cutoff(names) or WHOLE_RUN)
        return cls(texts, judged, names, k, depth, drops=drop_self, notes=tuple(notes))

    @property
    def contents(self) -> list[Query]:
        """The queries, texts or images, in order."""
        return list(self.queries.values())

    @property
    def texts(self) -> list[str]:
        """The texts of queries, in order; empty ones for images."""
        return [query if isinstance(query, str) else "" for query in self.contents]


def _judged_queries(
    queries: Mapping[str, Query], qrels: Qrels | None
) -> tuple[dict[str, Query], list[str]]:
    """Return the queries to run, and notes on those that are left out."""
    for query_id in queries:
        if not is_unicode(query_id):
            raise InputError(f"The query id {query_id!r} is not valid Unicode.")
    if not queries:
        raise InputError("There are no queries. Give at least one.")
    if qrels is None:
        return dict(queries), []
    judged = {query_id: text for query_id, text in queries.items() if query_id in qrels}
    if not judged:
        given = pluralize(len(queries), "query", "queries")
        raise InputError(
            f"There are judgments for none of the {given}: they are for "
            f"{first_names(list(qrels))}; the queries are {first_names(list(queries))}. Give the "
            "queries and qrels of one collection."
        )
    notes = []
    if unjudged := [query_id for query_id in queries if query_id not in qrels]:
        one, many = "query without judgments was", "queries without judgments were"
        notes.append(f"{pluralize(len(unjudged), one, many)} left out: {first_names(unjudged)}.")
    if textless := [query_id for query_id in qrels if query_id not in queries]:
        have = pluralize(len(textless), "judged query has", "judged queries have")
        notes.append(f"{have} no text, left out: {first_names(textless)}.")
    return judged, notes


def _unknown_documents(collection: Collection, qrels: Qrels) -> list[str]:
    judged = dict.fromkeys(
        doc_id for grades in qrels.values() for doc_id, grade in grades.items() if grade > 0
    )
    unknown = collection.unknown_ids(list(judged))
    if not unknown:
        return []
    relevant = pluralize(len(unknown), "relevant document is", "relevant documents are")
    return [f"{relevant} not in the collection: {first_names(unknown)}."]


def _own_documents(collection: Collection, queries: Mapping[str, Query]) -> list[str]:
    """Return a note on the queries that have the text of the document with their id."""
    documents = {one.doc_id: one for one in collection.documents_of(list(queries))}
    same = [
        query_id
        for query_id, text in queries.items()
        if isinstance(text, str)
        and (own := documents.get(query_id))
        and _words(text) in (_words(own.text), _words(f"{own.title} {own.text}"))
    ]
    if not same:
        return []
    have = pluralize(len(same), "query has", "queries have")
    return [
        f"{have} the text of the document with the same id, which counts as a hit: "
        f"{first_names(same)}. To leave such documents out, use --drop-self (drop_self=True)."
    ]


def _words(text: str) -> list[str]:
    return text.casefold().split()
