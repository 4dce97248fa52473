"""Atomic writing of text files, and lines of CSV and TSV."""

from __future__ import annotations

import gzip
import os
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from indexes.errors import InputError


@contextmanager
def atomic_writer(path: str | os.PathLike[str]) -> Iterator[TextIO]:
    """Open a UTF-8 text file that replaces `path` when the block ends without an error.

    Gzipped if `path` ends in `.gz`. After an error an old file is unchanged and no new one is left.
    A folder that does not exist or cannot be written to is an `InputError`.
    """
    target = Path(path)
    temporary = target.with_name(f".{uuid.uuid4().hex}.tmp")
    create: Callable[..., Any] = gzip.open if target.suffix.lower() == ".gz" else open
    try:
        try:
            with create(temporary, "xt", encoding="utf-8", newline="\n") as file:
                yield file
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{target} cannot be written: {error.strerror or error}.") from None


def check_replaceable(path: Path, *, force: bool) -> None:
    """Raise `InputError` if `path` exists and is not to be replaced."""
    if path.exists() and not force:
        raise InputError(f"{path} exists. Give --force (force=True) to replace it.")


def delimited_line(cells: Iterable[str], delimiter: str, end: str = "\n") -> str:
    """Return one row with its end, cells quoted as in RFC 4180 where needed."""
    return delimiter.join(_quoted(cell, delimiter) for cell in cells) + end


def header_line(header: Iterable[str], delimiter: str, cells: Iterable[str]) -> str:
    """Return the header row for `cells`, quoted where a reader could misread their quotes.

    A quoted column name says that quotes are those of RFC 4180; see `delimited.read_delimited`.
    """
    if any(_ambiguous(cell, delimiter) for cell in cells):
        header = [f'"{column}"' for column in header]
        return delimiter.join(header) + "\n"
    return delimited_line(header, delimiter)


def _ambiguous(cell: str, delimiter: str) -> bool:
    if delimiter == "\t":
        return _quoted(cell, delimiter) != cell
    return delimiter in cell and "\n" in cell


def _quoted(text: str, delimiter: str) -> str:
    # Before Python 3.13, csv writes a carriage return unquoted, which its reader then rejects.
    if any(character in text for character in (delimiter, "\r", "\n", '"')):
        doubled = text.replace('"', '""')
        return f'"{doubled}"'
    return text
