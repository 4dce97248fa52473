"""The table of a paper in LaTeX, with rules by booktabs."""

from __future__ import annotations

from collections.abc import Iterator

from retriever.report.paper.table import PaperCell, PaperRow, PaperTable

# Characters with a meaning in LaTeX.
ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"$<$",
        ">": r"$>$",
        "|": r"\textbar{}",
        "\N{MINUS SIGN}": "$-$",
    }
    | {mark: f"\\{mark}" for mark in "&%$#_{}"}
)
ARROWS = {"better": r"\uparrow", "worse": r"\downarrow"}


def latex(table: PaperTable) -> str:
    r"""Return a `table` environment; its document needs `\usepackage{booktabs}`.

    Marks take no width, so that the digits of a column stay in line; letters of beaten systems do.
    """
    return "\n".join(_lines(table)) + "\n"


def _lines(table: PaperTable) -> Iterator[str]:
    yield r"% Needs \usepackage{booktabs} in the preamble."
    yield r"\begin{table}"
    yield r"  \centering"
    yield rf"  \caption{{{escaped(table.caption)}}}"
    columns = sum(len(names) for _, names in table.groups)
    # Letters after the numbers have different widths.
    column = "l" if any(row.letter for row in table.rows) else "r"
    yield rf"  \begin{{tabular}}{{l{column * columns}}}"
    yield r"    \toprule"
    if any(group for group, _ in table.groups):
        yield from _groups(table)
    headings = (escaped(name) for _, names in table.groups for name in names)
    yield f"    {' & '.join(['System', *headings])} " + r"\\"
    yield r"    \midrule"
    yield from map(_row, table.rows)
    yield r"    \bottomrule"
    yield r"  \end{tabular}"
    yield r"\end{table}"


def _groups(table: PaperTable) -> Iterator[str]:
    """Yield the heading above the columns of each collection, and the rules under them."""
    cells = [
        rf"\multicolumn{{{len(names)}}}{{c}}{{{escaped(name)}}}" for name, names in table.groups
    ]
    yield f"    {' & '.join(['', *cells])} " + r"\\"
    rules, first = [], 2
    for _, names in table.groups:
        rules.append(rf"\cmidrule(lr){{{first}-{first + len(names) - 1}}}")
        first += len(names)
    yield f"    {' '.join(rules)}"


def _row(row: PaperRow) -> str:
    letter = rf" ({row.letter})" if row.letter else ""
    return f"    {' & '.join([escaped(row.name) + letter, *map(_cell, row.cells)])} " + r"\\"


def _cell(cell: PaperCell) -> str:
    text = rf"\textbf{{{cell.text}}}" if cell.best else cell.text
    if cell.mark:
        return rf"{text}\rlap{{$^{{{ARROWS[cell.mark]}}}$}}"
    return rf"{text}$^{{{cell.beaten}}}$" if cell.beaten else text


def escaped(text: str) -> str:
    """Return a text on one line that LaTeX sets as it is; characters without a glyph stay."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(printable.split()).translate(ESCAPES)
