"""Metadata filters over the catalog: SQL that is run after its tables were checked."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping

from indexes.catalog.document_rows import check_document
from indexes.catalog.filters.conditions import Filter, fields_of
from indexes.catalog.filters.sql import condition
from indexes.catalog.sqlite.database import Catalog, Row

PAGE = 500
# Fields that are nested deeper are not proposed as similar names.
DEEPEST_NAMED = 8


def indexed_fields(catalog: Catalog) -> dict[tuple[str, ...], int]:
    """Return the number of each indexed metadata field, by its path."""
    rows = catalog.rows("SELECT path, field FROM fields ORDER BY field")
    return {tuple(json.loads(path)): field for path, field in rows}


def checked_condition(catalog: Catalog, where: Filter) -> tuple[str, list[object]]:
    """Return a filter as SQL over `documents`, after a check that the tables it reads are intact.

    A damaged table, which would leave documents out, raises a DamageError.
    """
    fields = indexed_fields(catalog)
    looked_up = [field in fields for field in fields_of(where)]
    catalog.check_once("documents", lambda: _check_tree(catalog, "quick_check(documents)"))
    check_passages(catalog)
    if any(looked_up):
        catalog.check_once("values", lambda: _check_tree(catalog, "integrity_check(field_values)"))
    if not all(looked_up):
        # The rows that a filter on a field without an index reads one by one.
        catalog.check_once("metadata", lambda: deque(checked_rows(catalog), maxlen=0))
    return condition(where, fields)


def fields_in(value: object, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the paths of the fields of one document's metadata, nested ones too."""
    if isinstance(value, Mapping) and len(before) < DEEPEST_NAMED:
        for label, inner in value.items():
            path = (*before, label)
            yield path
            yield from fields_in(inner, path)


def check_passages(catalog: Catalog) -> None:
    """Check once, while the collection is open, that the table of passages has every row."""
    catalog.check_once("passages", lambda: _check_tree(catalog, "integrity_check(passages)"))


def _check_tree(catalog: Catalog, check: str) -> None:
    """Check a table's tree, and by `integrity_check` also its indexes against it."""
    for (message,) in catalog.rows(f"PRAGMA {check}"):
        if message != "ok":
            raise catalog.damage(str(message))


def checked_rows(catalog: Catalog) -> Iterator[Row]:
    """Yield every document's row without its text, checked, in pages."""
    sql = """
        SELECT document, doc_id, checksum, metadata, seal FROM documents
        WHERE document > ? ORDER BY document LIMIT ?
    """
    for page in catalog.pages(sql, [], PAGE):
        for row in page:
            check_document(catalog, row)
            yield row
