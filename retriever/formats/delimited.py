"""Rows of CSV and TSV files with a header row."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator

from indexes.errors import BadRecord, FileFormatError
from retriever.formats.columns import Required, check_columns
from retriever.formats.lines import invalid_utf8, strip_bom

# Long cells are fine, but an unclosed quote must not swallow the rest of a big file.
LONGEST_CELL = 1 << 26
# The message of `csv` for a quote still open at the end; its errors have no codes.
UNCLOSED = "unexpected end of data"


def read_delimited(
    stream: Iterable[bytes], name: str, delimiter: str, required: Required
) -> Iterator[tuple[str, dict[str, str] | BadRecord]]:
    """Yield `(place, row)` for every row below the header, or the reason it is unusable.

    The place is the line where the row starts. Cells are quoted as in RFC 4180: a quoted cell may
    hold delimiters, line feeds and doubled quotes. A row must have as many cells as the header.
    Unnamed columns and empty cells are omitted, except empty cells under `text`. A quote that is
    never closed makes every row below it unreadable, and is a `FileFormatError`.
    """
    feed = _Feed(stream, name)
    # Strict: otherwise a stray quote silently swallows text or even rows.
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
            pairs = zip(header, cells, strict=True)
            yield place, {name: cell for name, cell in pairs if name and (cell or name == "text")}


class _Feed:
    """Decoded lines for `csv`, with the number of the last line.

    Keeps what `csv` cannot report: decoding errors, until the row is complete, and the line where
    the current quote opened.
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
        # Between the lines of a row a quote is open. An undoubled quote closes it, and another
        # must have opened after it if the row continues.
        if self.number == self._row or b'"' in raw.replace(b'""', b""):
            self._opened = self.number
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            self._fault = self._fault or f"{invalid_utf8(error)} of line {self.number}"
            return raw.decode(errors="replace")

    def begin_row(self) -> None:
        """Mark the next line as the first of a row."""
        self._row = self.number + 1

    def refuse_unclosed(self, reason: str) -> None:
        """Raise `FileFormatError` if `reason`, the message of `csv`, means an unclosed quote."""
        # A cell that is too long on one line affects only that row.
        if reason == UNCLOSED or ("field limit" in reason and self.number > self._row):
            raise FileFormatError(
                f"{self._name}: a quote opened at line {self._opened} is never closed, so no "
                "row after it can be read. Close it, or double it if it belongs to the text."
            )

    def take_fault(self) -> str:
        """Return and clear the first fault since the last call; empty if there is none."""
        fault, self._fault = self._fault, ""
        return fault


def _next_row(reader: Iterator[list[str]], feed: _Feed) -> list[str] | str | None:
    """Return the next row ([] if blank), the reason as text if it is bad, or None at the end."""
    feed.begin_row()
    # The limit is global to the process: raise it while reading, then restore it.
    before = csv.field_size_limit(LONGEST_CELL)
    try:
        return next(reader, None)
    except csv.Error as error:
        feed.refuse_unclosed(str(error))
        return str(error)
    finally:
        csv.field_size_limit(before)


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
