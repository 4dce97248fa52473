"""Rows of CSV and TSV files with a header row."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Iterable, Iterator, Sequence
from tempfile import SpooledTemporaryFile
from typing import IO

from indexes.errors import BadRecord, FileFormatError, FileNote, pluralize
from retriever.formats.columns.check import Check, NamedColumns
from retriever.formats.lines import invalid_utf8, refuse_carriage_returns
from retriever.formats.quoting import NumberedLines, QuoteCheck, QuotedLines

# Long cells are fine, but an unclosed quote must not swallow the rest of a big file.
LONGEST_CELL = 1 << 26
# A cell with so many lines that look like rows has a forgotten quote; fewer may be a text.
SWALLOWED_LINES = 10
# Bytes of TSV that are held in memory while quotes are checked; a temporary file holds the rest.
SPOOL_BYTES = 1 << 22

Row = tuple[str, dict[str, str] | BadRecord]


def read_delimited(
    stream: Iterable[bytes], name: str, delimiter: str, check: Check
) -> Iterator[Row]:
    """Yield `(place, row)` for every row below the header, or the reason it is unusable.

    The place is the line where the row starts. A row must have as many cells as the header.
    Empty cells are omitted, except those under `text`, and columns without a name, with a
    `FileNote`.

    CSV is quoted as in RFC 4180: a quoted cell may hold delimiters, line breaks and doubled quotes.
    A row is bad if such a cell holds ten lines that look like rows; for fewer there is a note. Of a
    bad row of several lines only the first is lost, the others are read as rows. A quote that is
    never closed makes every row below it unreadable, and is a `FileFormatError`.

    In TSV a quote is a character, and every line is a row. It is quoted as CSV only if its first
    column name is, or if all of it can be read so without joining lines that are rows themselves
    (see `QuoteCheck`); a `FileNote` says so.
    """
    lines = NumberedLines(stream, name)
    first = _first_line(lines)
    lines.read_again([first], lines.number - 1)
    declared = first.startswith(b'"')
    if delimiter == "\t" and not declared:
        return _plain_rows(lines, check)
    quoted = QuotedLines(lines, delimiter)
    header = _columns(_quoted_header(quoted), name, check)
    return _quoted_rows(quoted, header, declared=declared)


def _first_line(lines: NumberedLines) -> bytes:
    """Return the first line that is not blank."""
    first = next((line for line in lines if line.strip(b"\r\n")), None)
    if first is None:
        message = f"{lines.name} is empty; expected a header row with the column names."
        raise FileFormatError(message)
    if b'"' not in first:
        refuse_carriage_returns(first, lines.name)
    return first


def _columns(cells: Sequence[str], name: str, check: Check) -> list[str]:
    header = [cell.strip() for cell in cells]
    check(name, header)
    return header


def _unreadable_header(name: str, fault: str) -> FileFormatError:
    return FileFormatError(f"{name} has a header row that cannot be read: {fault}.")


def _plain_rows(lines: NumberedLines, check: Check) -> Iterator[Row]:
    """Yield the rows of TSV, whose quotes are characters unless all lines agree with CSV's."""
    cells = _plain_cells(next(lines), lines.number)
    if isinstance(cells, str):
        raise _unreadable_header(lines.name, cells)
    header = _columns(cells, lines.name, check)
    fields = _Fields(header)
    with SpooledTemporaryFile(SPOOL_BYTES) as kept:
        undecided = True
        for raw in lines:
            place = f"{lines.name}:{lines.number}"
            if undecided and b'"' in raw:
                undecided = False
                lines.read_again([raw], lines.number - 1)
                if _is_quoted(lines, len(header), kept):
                    said = "cells in quotes were read as in CSV, as every row agrees with that."
                    warnings.warn(f"{place}: {said}", FileNote, stacklevel=1)
                    yield from _quoted_rows(QuotedLines(lines, "\t"), header, declared=True)
                    return
                continue
            cells = _plain_cells(raw, lines.number)
            if reason := _row_fault(cells, len(header)):
                undecided = False
                yield place, BadRecord(place, reason)
            elif cells:
                yield place, fields(place, cells)


def _plain_cells(raw: bytes, number: int) -> list[str] | str:
    """Return the cells of a line ([] if blank), or the reason as text if it is bad."""
    try:
        line = raw.removesuffix(b"\n").removesuffix(b"\r").decode()
    except UnicodeDecodeError as error:
        return f"{invalid_utf8(error)} of line {number}"
    return line.split("\t") if line else []


def _is_quoted(lines: NumberedLines, width: int, kept: IO[bytes]) -> bool:
    """Return whether `lines`, to the last, are rows with quoted cells.

    They are read again next, from the temporary file `kept`.
    """
    check, number = QuoteCheck(width), lines.number
    for raw in lines:
        kept.write(raw)
        check.take(raw)
        if check.fails:
            break
    kept.seek(0)
    lines.read_again(kept, number)
    return check.holds


def _quoted_rows(quoted: QuotedLines, header: Sequence[str], *, declared: bool) -> Iterator[Row]:
    """Yield the rows of `quoted`.

    Where quotes are not `declared` by quoted column names, cells that seem to hold rows are noted.
    """
    lines, noted, fields = quoted.lines, False, _Fields(header)
    while True:
        place = f"{lines.name}:{lines.number + 1}"
        cells = _next_row(quoted)
        reason = quoted.take_fault()
        if not reason:
            reason = _row_fault(cells, len(header))
            inside = 0 if reason or declared else quoted.rows_inside(len(header))
            if inside:
                reason, noted = _rows_inside(place, inside, noted=noted), True
            if reason and quoted.several:
                quoted.read_rest_again()
        if reason:
            yield place, BadRecord(place, reason)
        elif cells is None:
            return
        elif cells and not isinstance(cells, str):
            yield place, fields(place, cells)


def _rows_inside(place: str, inside: int, *, noted: bool) -> str:
    """Return the reason if a quoted cell holds too many lines like rows, or note the first few."""
    said = (
        f"its quoted cell holds {inside:,} lines that look like rows; is a quote not closed or not "
        "doubled? If it is right, quote the column names, too"
    )
    if inside >= SWALLOWED_LINES:
        return said
    if not noted:
        warnings.warn(f"{place}: {said}.", FileNote, stacklevel=1)
    return ""


def _next_row(quoted: QuotedLines) -> list[str] | str | None:
    """Return the next row ([] if blank), the reason as text if it is bad, or None at the end."""
    quoted.begin_row()
    # The limit is global to the process: raise it while reading, then restore it.
    before = csv.field_size_limit(LONGEST_CELL)
    try:
        return next(quoted.rows, None)
    except csv.Error as error:
        quoted.refuse_unclosed(str(error))
        where = f" in line {quoted.lines.number}" if quoted.several else ""
        return f"not CSV: {error}{where}; is a quote not closed or not doubled?"
    finally:
        csv.field_size_limit(before)


def _row_fault(cells: list[str] | str | None, width: int) -> str:
    if isinstance(cells, str):
        return cells
    if cells and len(cells) != width:
        return f"{pluralize(len(cells), 'cell')}; the header has {width}"
    return ""


class _Fields:
    """The filled cells of rows, by the names of their columns."""

    def __init__(self, header: Sequence[str]) -> None:
        self._header = header
        self._named = NamedColumns()

    def __call__(self, place: str, cells: Sequence[str]) -> dict[str, str]:
        pairs = zip(self._header, cells, strict=True)
        filled = {name: cell for name, cell in pairs if cell or name == "text"}
        return self._named.fields(place, filled)


def _quoted_header(quoted: QuotedLines) -> list[str]:
    cells = _next_row(quoted)
    fault = quoted.take_fault() or (cells if isinstance(cells, str) else "")
    if fault or not isinstance(cells, list):
        raise _unreadable_header(quoted.lines.name, fault)
    return cells
