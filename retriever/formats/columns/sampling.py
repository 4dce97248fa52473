"""Find the columns of rows as they come, with as few of them read ahead as needed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from retriever.formats.columns.check import Header
from retriever.formats.columns.guess import SAMPLE, field_names, find_layout
from retriever.formats.columns.layout import Columns, Layout
from retriever.formats.columns.names import TEXT, Roles

# Records of an object each that are looked at for a field that was named.
SAMPLE_FOR_NAMED = 2_000

Row = TypeVar("Row")
Rows = Iterator[tuple[str, Row]]


def layout_of(
    name: str,
    rows: Rows[Row],
    header: Header,
    wanted: Columns,
    roles: Roles,
    image: str | None = None,
) -> tuple[Layout, Rows[Row]]:
    """Return the layout of rows, of which the first is a mapping, and all rows; see `find_layout`.

    Only the first is read ahead where it has an id and a text under the names of `roles`.
    """
    first, rows = _ahead(rows, 1)
    names = header.names if header.names is not None else tuple(field_names(first))
    named = any(one in names for one in roles.ids) and (
        TEXT in names or (image or roles.image) in names
    )
    if wanted.given or not named:
        first, rows = _ahead(rows, SAMPLE)
    if (
        header.names is None
        and len(first) == SAMPLE
        and set(wanted.given) - set(field_names(first))
    ):
        first, rows = _ahead(rows, SAMPLE_FOR_NAMED)
    found = find_layout(name, wanted, roles, header.names, first, image)
    return replace(found, exact=found.exact and not header.loose), rows


def _ahead(rows: Rows[Row], most: int) -> tuple[list[Mapping[str, Any]], Rows[Row]]:
    """Return the mappings among up to `most` of the first rows, and all rows."""
    head = list(itertools.islice(rows, most))
    return [row for _, row in head if isinstance(row, Mapping)], itertools.chain(head, rows)
