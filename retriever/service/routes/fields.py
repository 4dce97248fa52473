"""Fields that several requests share, and their checks against the limits."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict, Field

from indexes.errors import InputError
from retriever.search.options import SearchOptions, search_options
from retriever.service.answering import Shown
from retriever.service.settings import Limits

Library = Annotated[
    str | None,
    Query(description="The collection, by its name; needed if several are served."),
]
Filter = Annotated[
    dict[str, Any] | str | None,
    Field(description="A filter on metadata, as a mapping or a text: `year >= 2020`."),
]


class Body(BaseModel):
    """A body; unknown fields are refused, as they are misspelled ones."""

    model_config = ConfigDict(extra="forbid", strict=True)


class How(Body):
    """How to search, and what to show of the hits."""

    indexes: list[str] | None = Field(
        None, description="Indexes to search side by side; the newest fusion, or all, if left out."
    )
    k: int = Field(10, ge=1, description="Number of hits.")
    where: Filter = None
    mmr: float | None = Field(
        None, ge=0, le=1, description="Diversity: 1 is relevance alone, 0 diversity alone."
    )
    all_words: bool = Field(False, description="BM25 finds only passages with all words.")
    phrase: bool = Field(False, description="BM25 finds only passages with the words in order.")
    fields: list[str] | None = Field(None, description="Metadata to return; all if left out.")
    text: bool = Field(True, description="Whether to return the texts of hits.")
    highlights: bool = Field(False, description="Whether to mark the words of the query.")

    @property
    def options(self) -> SearchOptions:
        """The options of the search."""
        return search_options(self.mmr, all_words=self.all_words, phrase=self.phrase)

    @property
    def shown(self) -> Shown:
        """What to show of the hits."""
        fields = None if self.fields is None else tuple(self.fields)
        return Shown(fields, self.text, self.highlights)

    def check(self, limits: Limits) -> None:
        """Raise an InputError for what is above the limits; `k` is below if it is not given."""
        if "k" not in self.model_fields_set:
            self.k = min(self.k, limits.k)
        if self.k > limits.k:
            raise InputError(f"k is {self.k:,}; this service returns at most {limits.k:,} hits.")
        check_batch("indexes", len(self.indexes or ()), limits)
        if self.indexes is not None and not self.indexes:
            raise InputError("'indexes' is empty; name one, or leave it out.")
        if self.indexes and len(set(self.indexes)) < len(self.indexes):
            raise InputError("An index is named twice in 'indexes'; name each once.")


def check_parameters(request: Request) -> None:
    """Raise an InputError for a parameter of the address that its route does not have."""
    own = [one.alias for one in request.scope["route"].dependant.query_params]
    # Every address takes the name of a collection.
    known = list(dict.fromkeys(["library", *own]))
    if unknown := [name for name in request.query_params if name not in known]:
        raise InputError(
            f"There is no parameter '{unknown[0]}' here; there are: {', '.join(known)}."
        )


def check_batch(name: str, count: int, limits: Limits) -> None:
    """Raise an InputError for more items than a request may have."""
    if count > limits.batch:
        raise InputError(
            f"'{name}' has {count:,} items; this service takes at most {limits.batch:,} at once. "
            "Send them in several requests."
        )
