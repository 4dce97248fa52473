"""Queries that are given in Python: mappings from ids, and DataFrames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, Protocol, TypeVar, runtime_checkable

from indexes.errors import InputError, short_repr
from retriever.formats.queries import QUERY_IDS
from retriever.search.queries import Query

# Where the texts of queries are in a DataFrame: as in files, and as in PyTerrier and ir_datasets.
TEXTS = ("text", "query", "title")

Value = TypeVar("Value")


@runtime_checkable
class DataFrame(Protocol):
    """A table of pandas or polars."""

    @property
    def columns(self) -> Any:
        """The names of its columns."""

    def __getitem__(self, name: Any) -> Any:
        """Return a column."""


def queries_of(given: Mapping[Any, Query] | DataFrame) -> dict[str, Query]:
    """Return queries by id, from a mapping or a DataFrame of pandas or polars.

    A DataFrame has ids in the column `_id`, `query_id`, `qid` or `id`, and texts in `text`, `query`
    or `title`. Ids may be integers, which become text.

    Raises:
        InputError: another type, no such column, an id that occurs twice or is no id.
    """
    if isinstance(given, Mapping) or not isinstance(given, DataFrame):
        return by_text_id("query", "the queries", given)
    names = [str(name) for name in given.columns]
    ids, texts = (list(given[_column(names, known)]) for known in (QUERY_IDS, TEXTS))
    table = {text_id("A query id", one): text for one, text in zip(ids, texts, strict=True)}
    if len(table) < len(ids):
        keys = [text_id("", one) for one in ids]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise InputError(f"In the queries, the id '{twice}' occurs twice.")
    return table


def _column(names: Sequence[str], known: Sequence[str]) -> str:
    found = next((name for name in known if name in names), None)
    if found is None:
        raise InputError(
            f"The table of queries has the columns {', '.join(names)}; expected one called "
            f"{' or '.join(known)}."
        )
    return found


def by_text_id(kind: str, what: str, given: Mapping[Any, Value]) -> dict[str, Value]:
    """Return a mapping of ids of a `kind` with ids as text.

    Raises:
        InputError: `what` is not a mapping, an id is neither text nor an integer, or two ids are
            the same text.
    """
    expect_mapping(what, given, f"{kind} ids")
    found = {text_id(f"A {kind} id", key): value for key, value in given.items()}
    if len(found) < len(given):
        keys = [text_id("", key) for key in given]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise InputError(f"In {what}, '{twice}' is a {kind} id twice: as a number and as text.")
    return found


def expect_mapping(what: str, given: object, keys: str) -> None:
    """Raise `InputError` if something is not a mapping of `keys`."""
    if not isinstance(given, Mapping):
        kind = type(given).__name__
        raise InputError(f"Expected {what} as a mapping with {keys} as keys; got {kind}.")


def text_id(what: str, key: object) -> str:
    """Return an id as text; raise an InputError for what is neither text nor an integer."""
    if isinstance(key, str):
        return key
    if isinstance(key, Integral) and not isinstance(key, bool):
        return str(int(key))
    kind = type(key).__name__
    raise InputError(f"{what} is {short_repr(key)} ({kind}); expected text or a whole number.")
