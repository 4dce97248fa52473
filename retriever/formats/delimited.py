"""Rows of CSV and TSV with a header row, each with the line where it starts."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator

from indexes.errors import BadRecord, FileFormatError
from retriever.formats.columns import Required, check_columns
from retriever.formats.lines import invalid_utf8, strip_bom

__all__ = ["read_delimited"]

# Long cells are fine; a quote that is never closed must not take the rest of a big file with it.
LONGEST_CELL = 1 << 26


def read_delimited(
    stream: Iterable[bytes], name: str, delimiter: str, required: Required
) -> Iterator[tuple[str, dict[str, str] | BadRecord]]:
    """Yield `(place, row)` for every row below the header, or why the row cannot be used.

    Cells are quoted as in RFC 4180: a quoted cell may hold delimiters, line feeds and doubled
    quotes. A row must have as many cells as the header. Columns without a name are left out, and
    so are empty cells, except under `text`, where emptiness is an answer.

    Raises:
        FileFormatError: there is no header row, or a `required` column is not in it.
    """
    feed = _Feed(stream)
    # Strict, because otherwise a stray quote swallows text, or even rows, without a word.
    reader = csv.reader(feed, delimiter=delimiter, strict=True)
    header = _header(reader, feed, name)
    check_columns(name, header, required)
    while True:
        place = f"{name}:{feed.number + 1}"
        cells = _next_row(reader)
        reason = feed.take_fault() or _row_fault(cells, len(header))
        if reason:
            yield place, BadRecord(place, reason)
        elif cells is None:
            return
        elif cells and not isinstance(cells, str):
            yield place, _named(header, cells)


class _Feed:
    """The decoded lines that `csv` asks for, with the number of the last one.

    `csv` cannot be told of a bad line, so the fault waits here until the row is complete.
    """

    def __init__(self, stream: Iterable[bytes]) -> None:
        self.number = 0
        self._lines = iter(stream)
        self._fault = ""

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        raw = next(self._lines)
        self.number += 1
        if self.number == 1:
            raw = strip_bom(raw)
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            self._fault = self._fault or f"{invalid_utf8(error)} of line {self.number}"
            return raw.decode(errors="replace")

    def take_fault(self) -> str:
        """The first fault since the last call, or nothing."""
        fault, self._fault = self._fault, ""
        return fault


def _next_row(reader: Iterator[list[str]]) -> list[str] | str | None:
    """The next row, blank ones empty; text if it is not CSV, saying why; None at the end."""
    # The limit belongs to the whole process: raised while we read, and put back.
    before = csv.field_size_limit(LONGEST_CELL)
    try:
        return next(reader, None)
    except csv.Error as error:
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
    cells = _next_row(reader)
    while cells == []:
        cells = _next_row(reader)
    fault = feed.take_fault() or (cells if isinstance(cells, str) else "")
    if fault:
        raise FileFormatError(f"{name} has a header row that cannot be read: {fault}.")
    if cells is None or isinstance(cells, str):
        raise FileFormatError(f"{name} is empty; expected a header row with the column names.")
    return [cell.strip() for cell in cells]
