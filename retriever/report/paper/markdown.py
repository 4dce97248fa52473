"""The table of a paper in Markdown, as GitHub and pandoc read it."""

from __future__ import annotations

from collections.abc import Iterator

from retriever.report.paper.table import PaperCell, PaperRow, PaperTable

MARKS = {"better": " ▲", "worse": " ▼"}
# Characters with a meaning in Markdown, and those of HTML.
SPECIAL = str.maketrans(
    {mark: f"\\{mark}" for mark in "\\`*_[]|~#"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
)


def markdown(table: PaperTable) -> str:
    """Return the verdict, the table, and its caption as a paragraph under it."""
    return "\n".join(_lines(table)) + "\n"


def _lines(table: PaperTable) -> Iterator[str]:
    headings = [
        f"{group}: {name}" if group else name for group, names in table.groups for name in names
    ]
    for line in table.verdict:
        yield from (escaped(line), "")
    yield _line(["System", *map(escaped, headings)])
    yield _line(["---", *("---:" for _ in headings)])
    yield from map(_row, table.rows)
    yield ""
    yield escaped(table.caption.replace("Arrows:", "▲▼:"))


def _row(row: PaperRow) -> str:
    letter = f" ({row.letter})" if row.letter else ""
    return _line([escaped(row.name) + letter, *map(_cell, row.cells)])


def _cell(cell: PaperCell) -> str:
    text = f"**{cell.text}**" if cell.best else cell.text
    beaten = f" <sup>{cell.beaten}</sup>" if cell.beaten else ""
    return f"{text}{MARKS.get(cell.mark, '')}{beaten}"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def escaped(text: str) -> str:
    """Return a text on one line without a meaning in Markdown."""
    return " ".join(text.split()).translate(SPECIAL)
