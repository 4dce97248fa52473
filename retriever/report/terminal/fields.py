"""A plain table of texts, drawn in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from retriever.report.terminal.escape import one_line


def fields_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Return a table with a line for each row; cells that do not fit go on in the next line."""
    table = Table(*headings, box=None, pad_edge=False, header_style="")
    for column in table.columns[:-1]:
        column.no_wrap = True
    for row in rows:
        table.add_row(*(Text(one_line(cell)) for cell in row))
    return table
