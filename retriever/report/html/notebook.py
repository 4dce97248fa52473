"""A comparison as notebooks show it: the headline, and the tables of quality and cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from retriever.evaluation.results import ComparisonResults
from retriever.report.headline import headline
from retriever.report.html.cells import Cell, Table
from retriever.report.html.tables import page_tables
from retriever.report.verdict import verdict_lines

PARTS = ("quality", "chance", "cost", "agreement")
LEFT = ' style="text-align: left; white-space: nowrap"'
RIGHT = ' style="text-align: right; white-space: nowrap"'
# Heads of numbers, and of words.
WRAPPED, WORDS = ' style="text-align: right"', ' style="text-align: left"'


def comparison_html(comparison: ComparisonResults) -> str:
    """Return the main numbers of a comparison as HTML in which every text is escaped.

    There is no style sheet and no script: the notebook's own style applies, light or dark.
    """
    said = headline(comparison)
    html = [f"<p><b>{escape(said.title)}</b></p>"]
    sentences = (*verdict_lines(comparison), *said.sentences)
    html += [f"<p>{escape(one)}</p>" for one in sentences]
    tables = page_tables(comparison)
    # Of the differences, those in the measure that decides.
    tables["chance"] = tables["chance"][:1]
    html += [_table(table) for part in PARTS for table in tables[part]]
    html += [f"<p>note: {escape(note)}</p>" for note in comparison.notes]
    # A path or an id may hold a lone surrogate, which UTF-8 cannot encode.
    return "".join(html).encode("utf-8", "replace").decode()


def _table(table: Table) -> str:
    # As the cells under them.
    firsts = table.rows[0][1]
    heads = "".join(
        f"<th{WORDS if cell.words else WRAPPED}>{escape(name)}</th>"
        for name, cell in zip(table.columns, firsts, strict=True)
    )
    rows = "".join(
        f"<tr><th{LEFT}>{escape(name)}</th>{''.join(_cells(cells))}</tr>"
        for name, cells in table.rows
    )
    remark = f"<p>{escape(table.remark)}</p>" if table.remark else ""
    # No caption of the table: notebooks draw it without space, and it would widen the table.
    caption = f"<p><b>{escape(table.caption)}</b></p>"
    head = f"<thead><tr><th></th>{heads}</tr></thead>"
    return f"{caption}<table>{head}<tbody>{rows}</tbody></table>{remark}"


def _cells(cells: Sequence[Cell]) -> Iterator[str]:
    for cell in cells:
        text = f"<b>{escape(cell.text)}</b>" if cell.best else escape(cell.text)
        note = f"<br><small>{escape(cell.note)}</small>" if cell.note else ""
        yield f"<td{LEFT if cell.words else RIGHT}>{text}{note}</td>"
