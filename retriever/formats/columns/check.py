"""Check that a table has the columns its reader requires."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

from indexes.errors import FileFormatError, FileNote

T = TypeVar("T")
# Each entry is one required column, under any of its names.
Required = Sequence[Sequence[str]]
# Called with the name of a table and its column names, before its first row is read.
Check = Callable[[str, Sequence[str]], None]


def requires(columns: Required) -> Check:
    """Return the check that a table has required columns, and no column name twice."""
    return lambda name, found: check_columns(name, found, columns)


def check_columns(name: str, columns: Sequence[str], required: Required) -> None:
    """Raise `FileFormatError` if table `name` lacks a required column or repeats a column name."""
    has = f"It has: {', '.join(filter(None, columns))}."
    for names in required:
        if not set(names) & set(columns):
            raise FileFormatError(f"{name} has no column {one_of(names)}. {has}")
    for column, count in Counter(filter(None, columns)).items():
        if count > 1:
            raise FileFormatError(f"{name} has {count} columns '{column}'; rename all but one.")


def one_of(names: Sequence[str]) -> str:
    """Return the names quoted and joined: `'_id', 'doc_id' or 'id'`."""
    quoted = [f"'{name}'" for name in names]
    return " or ".join(filter(None, [", ".join(quoted[:-1]), quoted[-1]]))


class NamedColumns:
    """The columns of a table that have a name; the first filled cell in another one is noted."""

    def __init__(self) -> None:
        self._noted = False

    def fields(self, place: str, filled: dict[str, T]) -> dict[str, T]:
        """Return the filled cells of a row, by column, without those in a column without a name."""
        if "" not in filled:
            return filled
        if not self._noted:
            self._noted = True
            said = "a cell in a column without a name was left out; name it in the first row."
            warnings.warn(f"{place}: {said}", FileNote, stacklevel=1)
        return {name: cell for name, cell in filled.items() if name}


class Header:
    """The column names of a table, kept when its reader has read them; None before.

    In a table that is `loose` a text of digits may be kept as a number, cell by cell.
    """

    def __init__(self, *, loose: bool = False) -> None:
        self.names: tuple[str, ...] | None = None
        self.loose = loose

    def __call__(self, name: str, columns: Sequence[str]) -> None:
        """Take the column names; one that is repeated is a `FileFormatError`."""
        check_columns(name, columns, ())
        self.names = tuple(filter(None, columns))
