"""Rows of SQLite databases of others, which are only read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from indexes.errors import FileFormatError, InputError, first_of, unknown_name
from retriever.formats.columns.check import Check

Row = tuple[str, dict[str, Any]]

WAIT_SECONDS = 10
# What a query of rows needs; the rest could write, also to other files.
_READS = frozenset(
    {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
)
_TABLES = (
    "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') "
    "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
)


def read_database(
    name: str, check: Check, *, table: str | None = None, sql: str | None = None
) -> Iterator[Row]:
    """Yield `(place, row)` for every row of a table or view, or of a query; place is `name:row 3`.

    Without both the only table is read. The file is opened read-only, and read at one state of it.
    Nulls are omitted; a text that is not UTF-8 is bytes. Rows of a table come in its order.

    Raises:
        InputError: there are several tables, or SQLite refuses the query.
        UnknownNameError: there is no such table.
        FileFormatError: the file is damaged, or has no table.
    """
    try:
        # `closing`: a connection is only a transaction to `with`.
        with closing(_opened(name)) as database:
            query = sql if sql is not None else _select(database, name, table)
            database.set_authorizer(_authorize)
            cursor = database.execute(query)
            if cursor.description is None:
                raise InputError(f"The SQL returns no rows; expected a SELECT: {query}")
            columns = [column[0] for column in cursor.description]
            check(name, columns)
            for number, row in enumerate(cursor, 1):
                cells = zip(columns, row, strict=True)
                yield f"{name}:row {number}", {key: v for key, v in cells if v is not None}
    # Warning: more than one statement, before Python 3.12.
    except (sqlite3.Error, sqlite3.Warning) as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (
            sqlite3.SQLITE_BUSY,
            sqlite3.SQLITE_LOCKED,
        ):
            raise FileFormatError(
                f"{name} is being written to by another program. Try again when it has finished."
            ) from None
        said = str(error).rstrip(".")
        if sql is not None:
            raise InputError(f"{name}: SQLite refuses the query: {said}. It was: {sql}") from None
        raise FileFormatError(f"{name} cannot be read as an SQLite database: {said}.") from None


def _opened(name: str) -> sqlite3.Connection:
    place = quote(str(Path(name).absolute()))
    database = sqlite3.connect(
        f"file:{place}?mode=ro", uri=True, timeout=WAIT_SECONDS, check_same_thread=False
    )
    database.text_factory = _decoded
    return database


def _decoded(raw: bytes) -> str | bytes:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def _authorize(action: int, *_: object) -> int:
    return sqlite3.SQLITE_OK if action in _READS else sqlite3.SQLITE_DENY


def _select(database: sqlite3.Connection, name: str, table: str | None) -> str:
    tables = [found for (found,) in database.execute(_TABLES)]
    if table is not None and table not in tables:
        raise unknown_name("table", table, name, tables)
    if not tables:
        raise FileFormatError(f"{name} has no tables.")
    if table is None and len(tables) > 1:
        has = first_of([f"'{one}'" for one in tables], 8)
        raise InputError(f"{name} has several tables: {has}. Choose one with --table, or --sql.")
    chosen = (tables[0] if table is None else table).replace('"', '""')
    return f'SELECT * FROM "{chosen}"'
