"""Quoted cells: what `csv` cannot report about their lines, and whether TSV has any."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator

from indexes.errors import FileFormatError
from retriever.formats.lines import invalid_utf8, strip_bom

# The message of `csv` for a quote still open at the end; its errors have no codes.
UNCLOSED = "unexpected end of data"
# A quoted cell holds rows if so many of its lines look like rows.
ROWS_INSIDE = 0.9


class NumberedLines:
    """Lines of a file as bytes, without a leading byte-order mark; lines can be read again.

    `number` is that of the last line, from 1.
    """

    def __init__(self, stream: Iterable[bytes], name: str) -> None:
        self.name = name
        self.number = 0
        # The last is read first; nested iterators would exhaust the stack.
        self._sources = [iter(stream)]

    def __iter__(self) -> NumberedLines:
        return self

    def __next__(self) -> bytes:
        while (raw := next(self._sources[-1], None)) is None:
            if len(self._sources) == 1:
                raise StopIteration
            self._sources.pop()
        self.number += 1
        return strip_bom(raw) if self.number == 1 else raw

    def read_again(self, lines: Iterable[bytes], number: int) -> None:
        """Continue with `lines`, before the rest; `number` is that of the line before them."""
        self._sources.append(iter(lines))
        self.number = number


class QuotedLines:
    """Decoded lines, and the `rows` that `csv` reads from them.

    Keeps what `csv` cannot report: decoding errors, until the row is complete, the line where the
    current quote opened, and the lines of the row after its first, to read them again.
    """

    def __init__(self, lines: NumberedLines, delimiter: str) -> None:
        self.lines = lines
        self._delimiter = delimiter.encode()
        self._row = self._opened = lines.number + 1
        self._rest = io.BytesIO()
        self._fault = ""
        # Strict: otherwise a stray quote silently swallows text or even rows.
        self.rows: Iterator[list[str]] = csv.reader(self, delimiter=delimiter, strict=True)

    def __iter__(self) -> QuotedLines:
        return self

    def __next__(self) -> str:
        raw = next(self.lines)
        number = self.lines.number
        if number > self._row:
            self._rest.write(raw)
        # Between the lines of a row a quote is open. An undoubled quote closes it, and another
        # must have opened after it if the row continues.
        if number == self._row or b'"' in raw.replace(b'""', b""):
            self._opened = number
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            self._fault = self._fault or f"{invalid_utf8(error)} of line {number}"
            return raw.decode(errors="replace")

    def begin_row(self) -> None:
        """Mark the next line as the first of a row."""
        self._row = self.lines.number + 1
        if self._rest.tell():
            self._rest = io.BytesIO()

    @property
    def several(self) -> bool:
        """Whether the current row has more than one line so far."""
        return self.lines.number > self._row

    def read_rest_again(self) -> None:
        """Read the lines of the current row after its first as new rows."""
        self._rest.seek(0)
        self.lines.read_again(self._rest, self._row)
        self._rest = io.BytesIO()

    def refuse_unclosed(self, reason: str) -> None:
        """Raise `FileFormatError` if `reason`, the message of `csv`, means an unclosed quote."""
        # A cell that is too long on one line affects only that row.
        if reason == UNCLOSED or ("field limit" in reason and self.several):
            raise FileFormatError(
                f"{self.lines.name}: a quote opened at line {self._opened} is never closed, so no "
                "row after it can be read. Close it, or double it if it belongs to the text."
            )

    def rows_inside(self, width: int) -> int:
        """Return how many lines follow the row's first if nearly all look like rows, else 0."""
        total = self.lines.number - self._row
        if total < 2:
            return 0
        self._rest.seek(0)
        alike = sum(line.count(self._delimiter) == width - 1 for line in self._rest)
        return total if alike >= ROWS_INSIDE * total else 0

    def take_fault(self) -> str:
        """Return and clear the first decoding error since the last call; empty if there is none."""
        fault, self._fault = self._fault, ""
        return fault


class QuoteCheck:
    """Whether lines of TSV are rows of `width` cells, quoted as in RFC 4180.

    Lines are taken in order, up to the last. `fails` is whether they cannot be: quotes are
    malformed, a row has another number of cells, or a quoted cell joins lines that are rows on
    their own, which would lose them.
    """

    def __init__(self, width: int) -> None:
        self.fails = False
        self._tabs = width - 1
        self._evident = self._inside = False
        self._row_tabs = self._lines = self._rows = 0

    @property
    def holds(self) -> bool:
        """Whether all lines agree, and a quoted cell holds what only a quoted cell can hold.

        That is a tab, a line break or a doubled quote; `"word"` alone is text in quotes.
        """
        return self._evident and not self.fails and not self._inside

    def take(self, raw: bytes) -> None:
        """Take the next line with its end."""
        line = raw.removesuffix(b"\n").removesuffix(b"\r")
        if not line and not self._inside:
            return
        parts = line.split(b'"')
        self._take_parts(parts)
        self._lines += 1
        self._rows += line.count(b"\t") == self._tabs
        if self._inside:
            self._evident = True
        else:
            self._end_row()

    def _take_parts(self, parts: list[bytes]) -> None:
        last = len(parts) - 1
        for place, part in enumerate(parts):
            if self._inside:
                self._evident = self._evident or b"\t" in part or b"\r" in part
            else:
                self._take_outside(part, after_quote=place > 0, before_quote=place < last)
            self._inside = self._inside != (place < last)

    def _take_outside(self, part: bytes, *, after_quote: bool, before_quote: bool) -> None:
        """Take a part outside of quotes: it is empty, or tabs separate it from quoted cells."""
        self._row_tabs += part.count(b"\t")
        doubled = after_quote and before_quote and not part
        self._evident = self._evident or doubled
        misplaced = bool(part) and (
            (after_quote and not part.startswith(b"\t"))
            or (before_quote and not part.endswith(b"\t"))
        )
        self.fails = self.fails or misplaced or b"\r" in part

    def _end_row(self) -> None:
        joined = self._lines > 1 and self._rows > 1
        self.fails = self.fails or self._row_tabs != self._tabs or joined
        self._row_tabs = self._lines = self._rows = 0
