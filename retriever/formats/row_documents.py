"""Documents of tables and records, whose columns are given or found."""

from __future__ import annotations

import itertools
import json
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from indexes.document import Document
from indexes.errors import BadRecord, FileNote, InputError
from retriever.formats.columns.check import Header
from retriever.formats.columns.layout import Columns
from retriever.formats.columns.names import normal
from retriever.formats.columns.sampling import layout_of
from retriever.formats.columns.types import AUTO, KINDS, ColumnTypes
from retriever.formats.jsonl import DECODER
from retriever.formats.records import (
    DOCUMENT_ROLES,
    STANDARD,
    ImageColumn,
    RepeatedContent,
    document_or_bad,
)
from retriever.formats.rows import LOOSE, OWN_DELIMITERS, Part, Row, open_rows
from retriever.formats.sources import Source
from retriever.formats.tables.arrow import is_table, read_table

Item = tuple[str, Document | BadRecord]
Record = tuple[str, Mapping[str, Any] | Document | BadRecord]

# The kinds of files whose fields can hold objects.
OBJECTS = ("jsonl", "json")
METADATA = "metadata"
# Bytes of typed rows that are held in memory; a temporary file holds the rest.
SPOOL_BYTES = 1 << 22


@dataclass(frozen=True)
class Reading:
    """How the tables and records of one call are read; `image` names the column of images."""

    columns: Columns = field(default_factory=Columns)
    types: str | None = None
    part: Part = field(default_factory=Part)
    image: str | None = None
    repeated: RepeatedContent = field(default_factory=RepeatedContent, repr=False, compare=False)

    @classmethod
    def of(
        cls,
        *,
        id: str | None = None,  # noqa: A002 - the field's word
        title: str | None = None,
        text: str | Sequence[str] | None = None,
        types: str | None = None,
        sheet: str | None = None,
        table: str | None = None,
        sql: str | None = None,
    ) -> Reading:
        """Return how the options of `Collection.add` say that tables are read.

        Raises:
            InputError: an option cannot be met by any table.
        """
        if types is not None and types not in KINDS:
            raise InputError(f"No types '{types}'. Expected one of: {', '.join(KINDS)}.")
        return cls(Columns.of(id, title, text), types, Part(sheet, table, sql))

    @property
    def given(self) -> tuple[str, ...]:
        """The options that only tables and records have, as far as they were given."""
        part = self.part
        names = {"id": self.columns.id, "title": self.columns.title, "text": self.columns.text}
        names |= {"types": self.types, "sheet": part.sheet, "table": part.table, "sql": part.sql}
        return tuple(name for name, value in names.items() if value)


def read_row_documents(source: Source, reading: Reading) -> Iterator[Item]:
    """Yield the documents of a file of rows."""
    header = Header(loose=source.kind in LOOSE)
    given = reading.columns.given
    known = DOCUMENT_ROLES.known | {*given, *map(normal, given)}
    column = ImageColumn(reading.image, source.folder) if reading.image else None
    typed = reading.types == AUTO and source.kind in OWN_DELIMITERS
    with open_rows(source, header, known, reading.part) as rows:
        if not typed:
            flat = source.kind not in OBJECTS
            yield from _documents(source.name, rows, header, reading, column, flat=flat)
            return
        with SpooledTemporaryFile(SPOOL_BYTES) as kept:
            types = ColumnTypes.of(_keep(rows, kept))
            kept.seek(0)
            again = map(_kept_row, kept)
            yield from _documents(source.name, again, header, reading, column, types, flat=True)


def read_iterable(source: Iterable[object], reading: Reading) -> Iterator[Item]:
    """Yield the documents of a table in memory, or of an iterable of `Document` and mappings."""
    header = Header()
    flat = is_table(source)
    rows = read_table(source, header) if flat else _records(source)
    column = ImageColumn(reading.image) if reading.image else None
    return _documents(f"The {type(source).__name__}", rows, header, reading, column, flat=flat)


def _records(source: Iterable[object]) -> Iterator[Record]:
    for number, item in enumerate(source, 1):
        place = f"record {number}"
        if isinstance(item, Document | Mapping):
            yield place, item
        else:
            kind = f"of type {type(item).__name__}"
            yield place, BadRecord(place, f"is {kind}; expected a Document or a dict")


def _documents(
    name: str,
    rows: Iterator[Any],
    header: Header,
    reading: Reading,
    column: ImageColumn | None,
    types: ColumnTypes | None = None,
    *,
    flat: bool,
) -> Iterator[Item]:
    """Yield the documents of rows; those before the first mapping need no columns.

    Those of a `flat` table cannot hold objects.
    """
    first: list[Record] = []
    standard = False
    for place, row in rows:
        if isinstance(row, Mapping):
            first = [(place, row)]
            break
        # Who gives documents knows the names of their fields.
        standard = standard or isinstance(row, Document)
        yield place, row
    if not first and header.names is None:
        return
    rows = itertools.chain(first, rows)
    if standard and not reading.columns.given:
        layout = STANDARD
    else:
        layout, rows = layout_of(name, rows, header, reading.columns, DOCUMENT_ROLES, reading.image)
    texts = {*layout.ids, layout.title, *layout.text, reading.image or ""}
    if types and (said := types.said(texts)):
        warnings.warn(f"{name}: {said}", FileNote, stacklevel=1)
    for place, row in rows:
        if type(row) is not dict and not isinstance(row, Mapping):  # the second is slow
            yield place, row
            continue
        fields = types.convert(row, texts) if types else row
        if flat and METADATA in fields and METADATA not in texts:
            fields = _with_metadata(fields)
        item = document_or_bad(place, fields, column, layout)
        if layout.ids or isinstance(item, BadRecord) or reading.repeated.is_new(place, item):
            yield place, item
    reading.repeated.note()


def _with_metadata(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a row of a table with the object that its metadata is JSON of, if it is.

    `export` writes it so: a column of a table has one type.
    """
    text = row[METADATA]
    if not isinstance(text, str):
        return row
    try:
        found = DECODER.decode(text)
    except (ValueError, RecursionError):
        return row
    return {**row, METADATA: found} if isinstance(found, dict) else row


def _keep(rows: Iterable[Row], kept: IO[bytes]) -> Iterator[Mapping[str, Any] | BadRecord]:
    """Yield the fields of rows, and write the rows to a file, one a line."""
    for place, row in rows:
        what = row.reason if isinstance(row, BadRecord) else row
        kept.write(json.dumps([place, what]).encode() + b"\n")
        yield row


def _kept_row(line: bytes) -> Row:
    place, what = json.loads(line)
    return place, BadRecord(place, what) if isinstance(what, str) else what
