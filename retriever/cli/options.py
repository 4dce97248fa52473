"""Arguments and options shared by commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")
library = click.argument("library", type=click.Path(path_type=Path))


def _filter(_: click.Context, __: click.Parameter, text: str | None) -> dict[str, Any] | None:
    from retriever.search.where_parser import parse_where

    return None if text is None else parse_where(text)


where = click.option(
    "--where",
    metavar="FILTER",
    callback=_filter,
    help="Only documents with matching metadata, such as 'year >= 2020 and source = faq'.",
)


def index_names(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Complete index names of the collection given before."""
    from indexes.errors import RetrieverError
    from retriever.collection import Collection

    # After an option without its value, click leaves the arguments unparsed.
    place = ctx.params.get("library") or next(iter(ctx.args), None)
    if place is None:
        return []
    try:
        with Collection.open(Path(place).expanduser()) as collection:
            names = collection.index_names()
    except (RetrieverError, OSError):
        return []
    return [name for name in names if name.startswith(incomplete)]


def indexes(says: str) -> Callable[[Command], Command]:
    """Return the repeatable option `-i`."""
    return click.option(
        "-i", "--index", "indexes", multiple=True, shell_complete=index_names, help=says
    )


def how_many(says: str) -> Callable[[Command], Command]:
    """Return the option `-k`."""
    return click.option("-k", default=10, show_default=True, type=click.IntRange(min=1), help=says)
