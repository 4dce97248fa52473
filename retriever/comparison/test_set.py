"""Test set of a comparison: queries, judgments, measures and depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from indexes.errors import InputError, pluralize
from retriever.collection import Collection
from retriever.evaluation.measures import deepest_cutoff, parse_measures
from retriever.formats.lines import is_unicode
from retriever.formatting import first_names

Qrels = Mapping[str, Mapping[str, int]]

# Depth for measures without a cutoff.
WHOLE_RUN = 1_000


@dataclass(frozen=True)
class TestSet:
    """Queries of a comparison by id, with their judgments and canonical measures.

    Rankings are `depth` deep; `drops`: hits with the query's own id are dropped. `notes` name
    mismatches between queries, judgments and documents.
    """

    queries: Mapping[str, str]
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
        queries: Mapping[str, str],
        qrels: Qrels | None,
        *,
        measures: Sequence[str],
        k: int,
        keep_self: bool,
    ) -> TestSet:
        """Restrict queries to the judged ones, if any; raise the errors of `compare`."""
        names = parse_measures(measures)
        texts, notes = _judged_queries(queries, qrels)
        judged = {query_id: qrels[query_id] for query_id in texts} if qrels else {}
        notes += _unknown_documents(collection, judged)
        if not judged:
            return cls(texts, {}, (), k, depth=k, drops=False, notes=tuple(notes))
        depth = max(k, deepest_cutoff(names) or WHOLE_RUN)
        return cls(texts, judged, names, k, depth, drops=not keep_self, notes=tuple(notes))

    @property
    def texts(self) -> list[str]:
        """Query texts, in order."""
        return list(self.queries.values())


def _judged_queries(
    queries: Mapping[str, str], qrels: Qrels | None
) -> tuple[dict[str, str], list[str]]:
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
            f"The judgments cover none of the {given}: they cover {first_names(list(qrels))}; the "
            f"queries are {first_names(list(queries))}. Give the queries and qrels of one "
            "collection."
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
