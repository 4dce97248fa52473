"""Terminal tables of several collections: one for each, and one for the macro average."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from retriever.report.paper.table import PaperCell, PaperTable
from retriever.report.terminal.escape import one_line

MARKS = {"better": "▲", "worse": "▼"}


def several_tables(table: PaperTable) -> Iterator[Table | Text]:
    """Yield a table of each group of columns, one system per line, and the caption."""
    first = 0
    for group, names in table.groups:
        made = Table(title=one_line(group), title_justify="left", title_style="", box=None)
        made.add_column("", overflow="fold")
        for name in names:
            made.add_column(Text(name), justify="right", overflow="fold")
        for row in table.rows:
            label = f"{row.name} ({row.letter})" if row.letter else row.name
            cells = row.cells[first : first + len(names)]
            made.add_row(Text(one_line(label)), *map(_drawn, cells))
        yield made
        yield Text()
        first += len(names)
    yield Text(table.caption.replace("Arrows:", "▲▼:"), style="dim", overflow="fold")


def _drawn(cell: PaperCell) -> Text:
    mark = f" {cell.beaten}" if cell.beaten else MARKS.get(cell.mark, " ")
    return Text.assemble((cell.text, "bold" if cell.best else ""), mark)
