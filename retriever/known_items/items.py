"""Queries with the document that each was made of, to be compared like any other queries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from indexes.errors import InputError, pluralize
from retriever.formatting import join_names

OWN = "own"


@dataclass(frozen=True)
class KnownItem:
    """A query, and what is left of the document that it was made of.

    `rest` is the text of document `doc_id` without its title and without what the query says;
    `kind` is how the query was made: see `kinds.KINDS`, or `own` if a user's function or file did.
    """

    query_id: str
    text: str
    doc_id: str
    rest: str
    kind: str = OWN


@dataclass(frozen=True, eq=False)
class MadeQueries(Mapping[str, str]):
    """Queries made from documents, by id; `notes` say what was left out in making them.

    Raises:
        InputError: two items have one id, or there are none.
    """

    items_made: Sequence[KnownItem]
    notes: Sequence[str] = ()
    _by_id: dict[str, KnownItem] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        by_id = {item.query_id: item for item in self.items_made}
        if not by_id:
            raise InputError("There are no queries made from documents. Make at least one.")
        if len(by_id) < len(self.items_made):
            raise InputError("Two queries made from documents have one id. Give each its own.")
        object.__setattr__(self, "_by_id", by_id)

    def __getitem__(self, query_id: str) -> str:
        return self._by_id[query_id].text

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_id)

    def __len__(self) -> int:
        return len(self._by_id)

    def item(self, query_id: str) -> KnownItem:
        """Return a query with its document."""
        return self._by_id[query_id]

    @property
    def qrels(self) -> dict[str, dict[str, int]]:
        """The one relevant document of each query: the one that it was made of."""
        return {item.query_id: {item.doc_id: 1} for item in self.items_made}

    @property
    def kinds(self) -> Mapping[str, int]:
        """How many queries there are of each kind."""
        return Counter(item.kind for item in self.items_made)

    def of_kind(self, kind: str) -> MadeQueries:
        """Return the queries of one kind."""
        return MadeQueries([item for item in self.items_made if item.kind == kind])

    def __str__(self) -> str:
        kinds = join_names([f"{count} by {kind}" for kind, count in self.kinds.items()])
        documents = len({item.doc_id for item in self.items_made})
        return f"{pluralize(len(self), 'query', 'queries')} of {documents:,} documents: {kinds}"
