"""The parameters of a page's address as values, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi.datastructures import QueryParams

from indexes.errors import InputError
from indexes.images import Image
from retriever.search.queries import Query
from retriever.service.page.filters import OPERATORS
from retriever.service.page.rendering import address
from retriever.service.settings import Limits

COUNTS = (5, 10, 20, 50)
PLAIN_COUNT = 10


@dataclass(frozen=True)
class SearchForm:
    """What is searched for: a text, an image, or documents like one, in some indexes.

    An image is no part of an address: it is sent with the parameters. `where` is a filter as text,
    and `chosen` the controls of metadata fields by their parameters.
    """

    library: str
    text: str = ""
    like: str = ""
    indexes: tuple[str, ...] = ()
    k: int = PLAIN_COUNT
    where: str = ""
    chosen: Mapping[str, str] = field(default_factory=dict)
    diverse: bool = False
    image: Image | None = None

    @property
    def query(self) -> Query:
        """What indexes are asked, unless it is to be like a document."""
        return self.text if self.image is None else self.image

    @property
    def is_asked(self) -> bool:
        """Whether there is anything to search for."""
        return bool(self.image or self.text.strip() or self.like)

    @property
    def is_filtered(self) -> bool:
        """Whether a filter is given."""
        return bool(self.where.strip() or any(self.chosen.values()))

    def address(self, path: str = "search", **changed: Any) -> str:
        """Return the address of this search, with some of its parameters changed."""
        parameters: dict[str, object] = {
            "library": self.library,
            "q": self.text,
            "like": self.like,
            "i": list(self.indexes),
            "k": "" if self.k == PLAIN_COUNT else self.k,
            "where": self.where,
            "diverse": "1" if self.diverse else "",
            **self.chosen,
        }
        return address(path, **(parameters | changed))


def search_form(library: str, given: QueryParams, limits: Limits) -> SearchForm:
    """Return the form of a page's parameters.

    Raises:
        InputError: a number is none, or a text is too long.
    """
    text = given.get("q", "")
    limits.check_text(text)
    return SearchForm(
        library=library,
        text=text,
        like="" if text.strip() else given.get("like", ""),
        indexes=tuple(dict.fromkeys(filter(None, given.getlist("i")))),
        k=whole_number(given, "k", PLAIN_COUNT, limits.k),
        where=given.get("where", ""),
        chosen={
            name: value
            for name, value in given.items()
            if value and name.startswith(tuple(OPERATORS))
        },
        diverse=bool(given.get("diverse")),
    )


def whole_number(given: QueryParams, name: str, default: int, most: int) -> int:
    """Return a number of a page's parameters, from 1 to `most`; an InputError for another."""
    text = given.get(name) or str(default)
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:9]) <= most:
        raise InputError(f"'{name}' is '{text}'; expected a number from 1 to {most:,}.")
    return int(text)
