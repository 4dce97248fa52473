"""Rows of CSV and TSV with a header row, each with the line where it starts."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator

from indexes.errors import BadRecord, FileFormatError
from retriever.formats.columns import Required, check_columns
from retriever.formats.lines import invalid_utf8, strip_bom

# Long cells are fine; a quote that is never closed must not take the rest of a big file with it.
LONGEST_CELL = 1 << 26
# What `csv` says of a quote that is open at the end; its errors have no codes.
UNCLOSED = "unexpected end of data"


def read_delimited(
    stream: Iterable[bytes], name: str, delimiter: str, required: Required
) -> Iterator[tuple[str, dict[str, str] | BadRecord]]:
    """Yield `(place, row)` for every row below the header, or why the row cannot be used.

    Cells are quoted as in RFC 4180: a quoted cell may hold delimiters, line feeds and doubled
    quotes. A row must have as many cells as the header. Columns without a name are left out, and
    so are empty cells, except under `text`, where emptiness is an answer.

    Raises:
        FileFormatError: there is no header row, or a `required` column is not in it; or a quote is
            never closed, which is no bad row, since it takes all the rows below with it.
    """
    feed = _Feed(stream, name)
    # Strict, because otherwise a stray quote swallows text, or even rows, without a word.
    reader = csv.reader(feed, delimiter=delimiter, strict=True)
    header = _header(reader, feed, name)
    check_columns(name, header, required)
    while True:
        place = f"{name}:{feed.number + 1}"
        cells = _next_row(reader, feed)
        reason = feed.take_fault() or _row_fault(cells, len(header))
        if reason:
            yield place, BadRecord(place, reason)
        elif cells is None:
            return
        elif cells and not isinstance(cells, str):
            yield place, _named(header, cells)


class _Feed:
    """The decoded lines that `csv` asks for, with the number of the last one.

    `csv` cannot be told of a bad line, so the fault waits here until the row is complete. Nor does
    it tell where a quote opened, so that is followed here.
    """

    def __init__(self, stream: Iterable[bytes], name: str) -> None:
        self.number = 0
        self._name = name
        self._row = self._opened = 1
        self._lines = iter(stream)
        self._fault = ""

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        raw = next(self._lines)
        self.number += 1
        if self.number == 1:
            raw = strip_bom(raw)
        # Between the lines of a row a quote is open. A quote that is not doubled closes it, and
        # another must have opened behind it if the row goes on once more.
        if self.number == self._row or b'"' in raw.replace(b'""', b""):
            self._opened = self.number
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            self._fault = self._fault or f"{invalid_utf8(error)} of line {self.number}"
            return raw.decode(errors="replace")

    def begin_row(self) -> None:
        """The next line is the first of a row."""
        self._row = self.number + 1

    def refuse_unclosed(self, reason: str) -> None:
        """Do nothing if `reason`, which `csv` gave for the row, is no quote left open.

        Raises:
            FileFormatError: it is; says where the quote opened.
        """
        # A cell that is too long on one line is that row's own fault.
        if reason == UNCLOSED or ("field limit" in reason and self.number > self._row):
            raise FileFormatError(
                f"{self._name}: a quote opened at line {self._opened} is never closed, so that no "
                "row from there on can be read. Close it, or double it if it belongs to the text."
            )

    def take_fault(self) -> str:
        """The first fault since the last call, or nothing."""
        fault, self._fault = self._fault, ""
        return fault


def _next_row(reader: Iterator[list[str]], feed: _Feed) -> list[str] | str | None:
    """The next row, blank ones empty; text if it is not CSV, saying why; None at the end."""
    feed.begin_row()
    # The limit belongs to the whole process: raised while we read, and put back.
    before = csv.field_size_limit(LONGEST_CELL)
    try:
        return next(reader, None)
    except csv.Error as error:
        feed.refuse_unclosed(str(error))
        return str(error)
    finally:
        csv.field_size_limit(before)


def _named(header: list[str], cells: list[str]) -> dict[str, str]:
    pairs = zip(header, cells, strict=True)
    return {name: cell for name, cell in pairs if name and (cell or name == "text")}


def _row_fault(cells: list[str] | str | None, width: int) -> str:
    if isinstance(cells, str):
        return f"not CSV: {cells}; is a quote not closed or not doubled?"
    if cells and len(cells) != width:
        return f"{len(cells)} cells; the header has {width}"
    return ""


def _header(reader: Iterator[list[str]], feed: _Feed, name: str) -> list[str]:
    cells = _next_row(reader, feed)
    while cells == []:
        cells = _next_row(reader, feed)
    fault = feed.take_fault() or (cells if isinstance(cells, str) else "")
    if fault:
        raise FileFormatError(f"{name} has a header row that cannot be read: {fault}.")
    if cells is None or isinstance(cells, str):
        raise FileFormatError(f"{name} is empty; expected a header row with the column names.")
    return [cell.strip() for cell in cells]
