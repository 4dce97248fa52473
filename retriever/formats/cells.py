"""Rows of CSV and TSV, written so that they read back as they were."""

from __future__ import annotations

from collections.abc import Iterable


def delimited_line(cells: Iterable[str], delimiter: str, end: str = "\n") -> str:
    """One row with its end, cells quoted as in RFC 4180 where they have to be."""
    return delimiter.join(_quoted(cell, delimiter) for cell in cells) + end


def _quoted(text: str, delimiter: str) -> str:
    # Python's csv writer leaves a carriage return bare before 3.13, and its reader refuses it so.
    if any(character in text for character in (delimiter, "\r", "\n", '"')):
        doubled = text.replace('"', '""')
        return f'"{doubled}"'
    return text
