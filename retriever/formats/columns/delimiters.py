"""Find what separates the cells of a delimited file."""

from __future__ import annotations

import csv
from collections.abc import Collection, Sequence

from retriever.formats.columns.names import normal

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
SAMPLE_LINES = 20


def find_delimiter(head: bytes, own: str, known: Collection[str]) -> str:
    """Return the delimiter of a file that begins with `head`, which may end inside of a line.

    That is the extension's `own` if it yields a column name that is `known` (normalized), or else
    the one that yields most of these; among equals one that splits all rows like the header, then
    the one that yields most columns, then `own`.
    """
    text = head.decode(errors="replace").lstrip("\ufeff\r\n")
    lines = text.splitlines()
    complete = lines if len(lines) < 2 or text.endswith("\n") else lines[:-1]
    sample = [line for line in complete[:SAMPLE_LINES] if line]
    if not sample or _known(_cells(sample[:1], own)[0], known):
        return own
    widths = {mark: _cells(sample, mark) for mark in (own, *DELIMITERS)}
    found = {mark: rows for mark, rows in widths.items() if len(rows[0]) > 1}
    if not found:
        return own
    return max(found, key=lambda mark: (_known(found[mark][0], known), *_shape(found[mark])))


def _cells(lines: Sequence[str], mark: str) -> list[list[str]]:
    try:
        return list(csv.reader(lines, delimiter=mark)) or [[]]
    except csv.Error:
        return [[]]


def _known(header: Sequence[str], known: Collection[str]) -> int:
    return sum(cell in known or normal(cell) in known for cell in map(str.strip, header))


def _shape(rows: Sequence[Sequence[str]]) -> tuple[bool, int]:
    """Return whether all rows are as long as the first, and how long it is."""
    return all(len(row) == len(rows[0]) for row in rows), len(rows[0])
