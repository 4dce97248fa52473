"""Types of the columns of delimited files, decided by all values of a column."""

from __future__ import annotations

import datetime
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from indexes.errors import BadRecord, short_repr
from indexes.values import plain
from retriever.formats.columns.guess import shown

AUTO, TEXT = "auto", "text"
KINDS = (AUTO, TEXT)

# JSON's numbers: "007", "1_000" and "1,5" are something else. A filter compares 64 bits exactly.
_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,18}")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,300})(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")
_SMALLEST, _LARGEST = -(2**63), 2**63 - 1
_DAY = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})|([0-9]{4})/([0-9]{2})/([0-9]{2})")
_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
    r"(Z|[+-][0-9]{2}:?[0-9]{2})?"
)
# What a boolean and a number begin with, and what follows the year of a date.
_TRUTHS, _NUMERALS, _DATES = frozenset("tTfF"), frozenset("-0123456789"), frozenset("-/")
# A longer cell is text.
_LONGEST = 400


@dataclass
class _Column:
    """Of each set of kinds of value that a cell can be read as: how many cells, and the first."""

    cells: dict[Sequence[str], tuple[int, str]] = field(default_factory=dict)

    def take(self, cell: str) -> None:
        text = cell.strip()
        kinds = _kinds_of(text)
        count, first = self.cells.get(kinds, (0, text))
        self.cells[kinds] = count + 1, first

    @property
    def kind(self) -> str | None:
        """What all cells hold; None if they are text."""
        return next((kind for kind in _READERS if all(kind in some for some in self.cells)), None)

    @property
    def mostly(self) -> tuple[str, str] | None:
        """What more than half of the cells hold, and the first that does not; None of text."""
        half = sum(count for count, _ in self.cells.values()) / 2
        for kind in _READERS:
            held = sum(count for kinds, (count, _) in self.cells.items() if kind in kinds)
            if held > half:
                others = (first for kinds, (_, first) in self.cells.items() if kind not in kinds)
                return kind, next(others)
        return None


@dataclass
class ColumnTypes:
    """What the columns of a table hold: `take` every row, then `convert` each.

    A column holds numbers, booleans, dates or times if all of its cells do that are not empty, and
    else text. Numbers are those of JSON, whole ones of at most 64 bits; others, such as `007`,
    `1_000`, `nan` and `inf`, are text. Dates are `2020-01-31` or `2020/01/31` and become ISO text;
    times of ISO 8601 become ISO text, all in UTC if all have an offset, and are text if only some
    have one. Space around a cell does not count.
    """

    _columns: dict[str, _Column] = field(default_factory=lambda: defaultdict(_Column))

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, str] | BadRecord]) -> ColumnTypes:
        """Return the types of the columns of all rows."""
        found = cls()
        for row in rows:
            if not isinstance(row, BadRecord):
                found.take(row)
        return found

    def take(self, row: Mapping[str, str]) -> None:
        """Leave to each column the types that its cell in `row` has, too."""
        for name, cell in row.items():
            self._columns[name].take(cell)

    @cached_property
    def _kinds(self) -> Mapping[str, str | None]:
        return {name: column.kind for name, column in self._columns.items()}

    def convert(self, row: Mapping[str, str], texts: Iterable[str]) -> dict[str, Any]:
        """Return a row with the values of its columns; those in `texts` stay text."""
        kinds = self._kinds
        return {
            name: _READERS[kind](cell.strip())
            if (kind := kinds.get(name)) and name not in texts
            else cell
            for name, cell in row.items()
        }

    def said(self, texts: Iterable[str]) -> str:
        """Return which columns are read as what, without `texts`; "" if all are text.

        And which are text though most of their cells are not, with the first that is.
        """
        columns: dict[str, list[str]] = {}
        mixed: list[str] = []
        for name, column in self._columns.items():
            if name in texts:
                continue
            if column.kind:
                columns.setdefault(_NOUNS[column.kind], []).append(shown(name))
            elif mostly := column.mostly:
                kind, cell = _NOUNS[mostly[0]], short_repr(mostly[1])
                mixed.append(f"{shown(name)} is text, as not all of its cells are {kind}: {cell}")
        parts = [f"{', '.join(names)} as {noun}" for noun, names in columns.items()]
        said = [f"read {'; '.join(parts)}"] if parts else []
        said += mixed
        return f"{'; '.join(said)}." if said else ""


def _kinds_of(text: str) -> Sequence[str]:
    """Return the kinds of value that a cell can be read as."""
    begins = text[:1]
    if begins in _TRUTHS:
        return ("boolean",) if len(text) <= 5 and _boolean(text) is not None else ()
    if begins not in _NUMERALS or len(text) > _LONGEST:
        return ()
    if text[4:5] in _DATES:
        # A date is a time, too; nothing else is of two kinds.
        if _day(text) is not None:
            return ("day", "local")
        if (moment := _moment(text)) is not None:
            return ("local",) if moment.tzinfo is None else ("utc",)
    return ("number",) if _number(text) is not None else ()


def _number(text: str) -> int | float | None:
    if _WHOLE.fullmatch(text):
        number = int(text)
        return number if _SMALLEST <= number <= _LARGEST else None
    if not _DECIMAL.fullmatch(text) or re.fullmatch("-?[0-9]+", text):
        return None
    value = float(text)
    return value if abs(value) != float("inf") else None


def _boolean(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text.lower())


def _day(text: str) -> str | None:
    found = _DAY.fullmatch(text)
    if not found:
        return None
    try:
        year, month, day = (int(part) for part in found.groups() if part)
        return datetime.date(year, month, day).isoformat()
    except ValueError:
        return None


def _moment(text: str) -> datetime.datetime | None:
    if not _TIME.fullmatch(text):
        return None
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        return None


def iso_text(text: str) -> str | None:
    """Return a date or a time as ISO text, in UTC if it has an offset; None if it is neither."""
    return _local(text) or _utc(text)


def _local(text: str) -> str | None:
    """Return a date or a time without an offset as ISO text."""
    moment = _moment(text)
    if moment is None:
        return _day(text)
    return plain(moment) if moment.tzinfo is None else None


def _utc(text: str) -> str | None:
    """Return a time with an offset as ISO text in UTC."""
    moment = _moment(text)
    return plain(moment) if moment is not None and moment.tzinfo is not None else None


# By preference.
_READERS: dict[str, Callable[[str], Any]] = {
    "number": _number,
    "boolean": _boolean,
    "day": _day,
    "local": _local,
    "utc": _utc,
}
_NOUNS = {
    "number": "numbers",
    "boolean": "booleans",
    "day": "dates",
    "local": "times",
    "utc": "times in UTC",
}
