"""Atomic writing of text files, and lines of CSV and TSV."""

from __future__ import annotations

import gzip
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO, cast

from indexes.errors import InputError


@contextmanager
def atomic_writer(path: str | os.PathLike[str]) -> Iterator[TextIO]:
    """Open a UTF-8 text file that replaces `path` when the block ends without an error.

    Gzipped if `path` ends in `.gz`. After an error an old file is unchanged and no new one is left.

    Raises:
        InputError: the folder does not exist or cannot be written to.
    """
    target = Path(path)
    temporary = target.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        try:
            with _create(temporary, target.suffix.lower() == ".gz") as file:
                yield file
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{target} cannot be written: {error.strerror or error}.") from None


def _create(path: Path, zipped: bool) -> TextIO:
    if zipped:
        return cast(TextIO, gzip.open(path, "xt", encoding="utf-8", newline="\n"))
    return path.open("x", encoding="utf-8", newline="\n")


def delimited_line(cells: Iterable[str], delimiter: str, end: str = "\n") -> str:
    """Return one row with its end, cells quoted as in RFC 4180 where needed."""
    return delimiter.join(_quoted(cell, delimiter) for cell in cells) + end


def _quoted(text: str, delimiter: str) -> str:
    # Before Python 3.13, csv writes a carriage return unquoted, which its reader then rejects.
    if any(character in text for character in (delimiter, "\r", "\n", '"')):
        doubled = text.replace('"', '""')
        return f'"{doubled}"'
    return text
