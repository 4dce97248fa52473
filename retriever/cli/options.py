"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

__all__ = ["as_json", "library", "parse_value"]

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
library = click.argument("library", type=click.Path(path_type=Path))


def index_names(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Shell completion: the indexes of the collection named before."""
    from indexes.errors import RetrieverError
    from retriever.collection import Collection

    try:
        with Collection.open(ctx.params["library"]) as collection:
            names = collection.index_names()
    except (KeyError, RetrieverError):
        return []
    return [name for name in names if name.startswith(incomplete)]


def parse_value(text: str) -> Any:
    """An option's value: a number, true or false where it reads like one, else text."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
