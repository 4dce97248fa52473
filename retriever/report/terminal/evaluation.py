"""Terminal tables of judged runs, at most 100 columns wide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from indexes.errors import pluralize
from retriever.evaluation.evaluate_runs import Evaluation
from retriever.formatting import WIDTH, decimals
from retriever.report.lines import NumberLine, label_of
from retriever.report.terminal.escape import one_line

COLUMNS_A_TABLE = 5
LABEL_WIDTH = 32
NARROWEST_COLUMN = 10

# A heading and its cells.
Column = tuple[str, Sequence[Text]]


def evaluation_tables(evaluation: Evaluation, wide: int = WIDTH) -> Iterator[Table]:
    """Yield the means, one run per line and one measure per column, five in 100 columns."""
    runs = list(evaluation.runs.values())
    columns = [
        (label_of(name), _cells([run.quality[name] for run in runs]))
        for name in evaluation.measures
    ]
    title = pluralize(evaluation.queries, "judged query", "judged queries")
    yield from _tables(title, list(evaluation.runs), columns, wide)


def per_query_tables(evaluation: Evaluation, wide: int = WIDTH) -> Iterator[Table]:
    """Yield tables of each measure, one query per line and as columns the runs that fit."""
    for measure in evaluation.measures:
        values = {name: run.per_query[measure] for name, run in evaluation.runs.items()}
        queries = list(next(iter(values.values()), {}))
        lines = [_cells([values[name][query] for name in values]) for query in queries]
        columns = [(name, [line[number] for line in lines]) for number, name in enumerate(values)]
        yield from _tables(label_of(measure), queries, columns, wide)


def _cells(values: Sequence[float]) -> list[Text]:
    return NumberLine("", values, decimals(4), max).cells()


def _tables(
    title: str, labels: Sequence[str], columns: Sequence[Column], wide: int
) -> Iterator[Table]:
    most = max(1, wide * COLUMNS_A_TABLE // WIDTH)
    for start in range(0, len(columns), most):
        yield _table(title, labels, columns[start : start + most], wide)


def _table(title: str, labels: Sequence[str], columns: Sequence[Column], wide: int) -> Table:
    table = Table(title=title, title_justify="left", title_style="", box=None, pad_edge=False)
    table.add_column("", overflow="fold")
    space = (wide - LABEL_WIDTH) // len(columns) - 2
    for heading, _ in columns:
        width = max(NARROWEST_COLUMN, min(len(heading), space))
        table.add_column(Text(heading), justify="right", overflow="fold", width=width)
    for number, label in enumerate(labels):
        table.add_row(Text(one_line(label)), *(cells[number] for _, cells in columns))
    return table
