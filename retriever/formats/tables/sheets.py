"""Rows of the sheets of Excel workbooks (.xlsx)."""

from __future__ import annotations

import datetime
import io
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any
from xml.etree.ElementTree import ParseError

from indexes.errors import (
    BadRecord,
    FileFormatError,
    FileNote,
    InputError,
    first_of,
    unknown_name,
)
from indexes.values import plain
from retriever.formats.columns.check import Check, NamedColumns
from retriever.formats.tables.arrow import seekable

Row = tuple[str, dict[str, Any] | BadRecord]


def read_sheet(
    stream: io.BufferedReader, name: str, check: Check, sheet: str | None = None
) -> Iterator[Row]:
    """Yield `(place, row)` for every row below the header of a sheet; place is `name:row number`.

    The number is that of the spreadsheet; the first row that is not empty is the header. Empty rows
    and cells are left out, and columns without a name, with a `FileNote`. A formula has the value
    that was saved with it. A cell with an error, such as #N/A, makes its row bad. Without `sheet`
    the first is read, and a `FileNote` says which there are.

    Raises:
        InputError: openpyxl is not installed.
        UnknownNameError: there is no such sheet.
        FileFormatError: the file is no workbook, or the sheet is empty.
    """
    with seekable(stream) as file:
        book = _open(file, name)
        try:
            rows = _chosen(book, name, sheet).iter_rows()
            yield from _rows(rows, name, check)
        except (ParseError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise _damaged(name, error) from None
        finally:
            book.close()


def _open(file: Any, name: str) -> Any:
    try:
        from openpyxl import load_workbook
    except ModuleNotFoundError:
        raise InputError(
            f"{name} is a workbook, and openpyxl is not installed. "
            "Run: pip install 'retriever-compare[files]', or save the sheet as CSV."
        ) from None
    try:
        # It warns of styles that it cannot keep, which are not read.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return load_workbook(file, read_only=True, data_only=True)
    # Whatever is wrong in the archive or its XML.
    except Exception as error:
        raise _damaged(name, error) from None


def _damaged(name: str, error: Exception) -> FileFormatError:
    reason = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
    return FileFormatError(
        f"{name} cannot be read as a workbook: {reason}. Save it again as .xlsx."
    )


def _chosen(book: Any, name: str, sheet: str | None) -> Any:
    """Return the sheet of a name, or else the first."""
    sheets = {one.title: one for one in book.worksheets}
    if sheet is not None and sheet not in sheets:
        raise unknown_name("sheet", sheet, name, list(sheets))
    if not sheets:
        raise FileFormatError(f"{name} has no sheet with cells.")
    first, *others = sheets
    if sheet is None and others:
        has = first_of([f"'{one}'" for one in others], 3)
        said = f"read the sheet '{first}'; it also has {has}: choose one with --sheet."
        warnings.warn(f"{name}: {said}", FileNote, stacklevel=1)
    return sheets[first if sheet is None else sheet]


def _rows(rows: Iterable[Any], name: str, check: Check) -> Iterator[Row]:
    numbered = enumerate(rows, 1)
    header = next((cells for _, row in numbered if any(cells := _header(row))), None)
    if header is None:
        raise FileFormatError(f"{name} has an empty sheet; expected a row with the column names.")
    check(name, header)
    named = NamedColumns()
    for number, row in numbered:
        place = f"{name}:row {number}"
        pairs = [(header[at] if at < len(header) else "", cell) for at, cell in enumerate(row)]
        if bad := [f"'{title}' is {cell.value}" for title, cell in pairs if _is_error(cell)]:
            yield place, BadRecord(place, f"a cell is an error: {bad[0]}")
            continue
        filled = {title: _value(cell) for title, cell in pairs if _filled(cell)}
        if fields := named.fields(place, filled):
            yield place, fields


def _header(row: Iterable[Any]) -> list[str]:
    return ["" if cell.value is None else str(plain(cell.value)).strip() for cell in row]


def _filled(cell: Any) -> bool:
    return cell.value is not None and cell.value != ""


def _is_error(cell: Any) -> bool:
    return bool(cell.value is not None and cell.data_type == "e")


def _value(cell: Any) -> Any:
    """Return the value of a cell; a time at midnight that is shown as a date alone is a date."""
    value = cell.value
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        from openpyxl.styles.numbers import is_datetime

        value = value.date() if is_datetime(cell.number_format) == "date" else value
    return plain(value)
