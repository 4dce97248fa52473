"""Rows of a source in any row format."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexes.errors import BadRecord, FileFormatError, FileNote, InputError
from retriever.formats.columns.check import Check
from retriever.formats.columns.delimiters import DELIMITERS, find_delimiter
from retriever.formats.delimited import read_delimited
from retriever.formats.jsonl import read_jsonl
from retriever.formats.lines import strip_bom
from retriever.formats.sources import STDIN, Source, open_source
from retriever.formats.tables.arrow import read_parquet
from retriever.formats.tables.json_array import read_json_array, starts_array
from retriever.formats.tables.sheets import read_sheet

Row = tuple[str, dict[str, Any] | BadRecord]

ROW_ENDINGS = {
    **dict.fromkeys((".jsonl", ".ndjson"), "jsonl"),
    **{".json": "json", ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet", ".xlsx": "xlsx"},
    **dict.fromkeys((".db", ".sqlite", ".sqlite3"), "sqlite"),
}
# Which kinds of sources have the parts of `Part`.
PARTS = (
    ("sheet", "xlsx", "an .xlsx file"),
    ("table", "sqlite", "an SQLite database"),
    ("sql", "sqlite", "an SQLite database"),
)
# Programs that decide by its content whether a cell is a number.
LOOSE = frozenset({"xlsx", "sqlite"})
OWN_DELIMITERS = {"csv": ",", "tsv": "\t"}


def is_database(name: str, kind: str | None = None) -> bool:
    """Return whether a file's name, or the kind that was given for it, is that of a database."""
    return (kind or ROW_ENDINGS.get(Path(name).suffix.lower())) == "sqlite"


@dataclass(frozen=True)
class Part:
    """Which part of a source is read: a sheet of a workbook, a table or a query of a database."""

    sheet: str | None = None
    table: str | None = None
    sql: str | None = None

    def __post_init__(self) -> None:
        if self.table is not None and self.sql is not None:
            raise InputError("Give either a table or SQL (--table, --sql), not both.")

    def check(self, source: Source) -> None:
        """Raise `InputError` if a source of this kind has no such part."""
        for part, kind, where in PARTS:
            if getattr(self, part) is not None and source.kind != kind:
                raise InputError(
                    f"{source.name} is {source.kind}; '{part}' (--{part}) is for {where}."
                )


@contextmanager
def open_rows(
    source: Source, check: Check, known: Collection[str], part: Part | None = None
) -> Iterator[Iterator[Row]]:
    """Open `source` as `(place, fields)` for every row, or the reason it is unusable.

    `check` is given the column names of a table. `known` are names of columns, normalized, that
    tell the delimiter of a file: a `FileNote` says if it is not that of its extension.
    """
    part = part or Part()
    part.check(source)
    if source.kind == "sqlite":
        yield _database_rows(source, check, part)
        return
    with open_source(source) as stream:
        yield read_rows(stream, source, check, known, part)


def read_rows(
    stream: io.BufferedReader,
    source: Source,
    check: Check,
    known: Collection[str],
    part: Part | None = None,
) -> Iterator[Row]:
    """Yield the rows of an open file; see `open_rows`."""
    name = source.name
    if source.kind in ("json", "jsonl"):
        if source.asked:
            _check_starts_as_json(stream.peek(), source)
        # In .jsonl an array is one bad line.
        may_be_array = source.kind == "json" or name == STDIN
        is_array = may_be_array and starts_array(stream.peek())
        return read_json_array(stream, name) if is_array else read_jsonl(stream, name)
    if source.kind == "parquet":
        return read_parquet(stream, name, check)
    if source.kind == "xlsx":
        return read_sheet(stream, name, check, part.sheet if part else None)
    own = OWN_DELIMITERS[source.kind]
    delimiter = find_delimiter(stream.peek(), own, known)
    if delimiter != own:
        said = f"{name}: cells are separated by {DELIMITERS[delimiter]}."
        warnings.warn(said, FileNote, stacklevel=1)
    return read_delimited(stream, name, delimiter, check)


def _check_starts_as_json(head: bytes, source: Source) -> None:
    """Refuse standard input of another format, which its default would call bad line by line."""
    first, *_ = strip_bom(head).lstrip().splitlines() or [b""]
    if first.startswith((b"{", b"[")) or not first:
        return
    try:
        json.loads(first)  # one bad record, perhaps of many good ones
    except ValueError:
        raise FileFormatError(
            "Standard input does not begin like JSON lines, its format by default. Pass its format "
            f"with {source.asked}, or give a file of a known extension."
        ) from None


def _database_rows(source: Source, check: Check, part: Part) -> Iterator[Row]:
    from retriever.formats.tables.databases import read_database

    if source.name == STDIN or source.gzipped:
        raise InputError(f"An SQLite database is read from a file of its own, not {source.name}.")
    # Its first bytes tell other files apart with a better message than SQLite's.
    with open_source(source):
        pass
    return read_database(source.name, check, table=part.table, sql=part.sql)
