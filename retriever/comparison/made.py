"""A comparison by queries that were made from the corpus: what each system is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from indexes.errors import InputError
from retriever.collection import Collection
from retriever.evaluation.inputs import GivenQrels
from retriever.evaluation.measures import DEFAULT_MEASURES
from retriever.known_items.finders import with_rests
from retriever.known_items.items import MadeQueries
from retriever.known_items.rests import Rests
from retriever.known_items.trust import trust_in
from retriever.search.retriever import Retriever

# The rank of the only relevant document: its reciprocal, and whether it is among the first.
KNOWN_ITEM_MEASURES = ("RR@100", "Success@1", "Success@10")
LIMITS = (
    "The queries were made from the corpus: {}. Each asks for the rest of the document that it was "
    "made of, so they show how well a system finds a document by what it is about. They cannot "
    "show how it does on what users ask: questions, other words than the documents', several "
    "relevant documents, or none. A model trained on this corpus, such as a student, has read what "
    "was taken out. Judge some real queries before a decision that is hard to reverse."
)


@dataclass(frozen=True)
class Asked:
    """The judgments and measures of a comparison, and the queries if they were made from it."""

    qrels: GivenQrels | None
    measures: Sequence[str]
    made: MadeQueries | None

    @classmethod
    def of(
        cls,
        queries: object,
        qrels: GivenQrels | None,
        measures: Sequence[str] | None,
        runs: Mapping[str, Any],
    ) -> Asked:
        """Return what is asked; an InputError if made queries come with judgments or runs."""
        if not isinstance(queries, MadeQueries):
            return cls(qrels, DEFAULT_MEASURES if measures is None else measures, None)
        if qrels is not None or runs:
            raise InputError(
                "Queries made from the corpus need no judgments, and a run of another system has "
                "not been asked for the rests of documents: leave out --qrels and --run (qrels, "
                "runs)."
            )
        return cls(queries.qrels, KNOWN_ITEM_MEASURES if measures is None else measures, queries)

    def asking(self, retrievers: Sequence[Retriever], collection: Collection) -> list[Retriever]:
        """Return what answers the queries: the retrievers, over rests where queries were made."""
        if self.made is None:
            return list(retrievers)
        rests = Rests(self.made, collection.split)
        return [with_rests(one, collection, rests) for one in retrievers]

    @property
    def notes(self) -> tuple[str, ...]:
        """What such queries can and cannot show; nothing about judged ones."""
        return () if self.made is None else (LIMITS.format(self.made), *self.made.notes)

    @property
    def trust(self) -> str:
        """How often verdicts by such queries were right; empty for judged ones."""
        if self.made is None:
            return ""
        return trust_in(self.made.kinds, len(self.made), self.measures[0])
