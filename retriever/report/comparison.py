"""A comparison as a table of at most 100 columns, the best values in bold."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from retriever.comparison import Comparison, Row
from retriever.report.numbers import WIDTH, count, decimals, share, size

__all__ = ["comparison_tables", "label_of", "plain_comparison"]

SYSTEMS_A_TABLE = 4
LABELS = {"R@": "recall@", "RR@": "MRR@"}


@dataclass(frozen=True)
class Line:
    """A line of the comparison: a value for each index, drawn, and which end of it is better.

    `beside` holds a second value for each, shown behind a slash.
    """

    label: str
    values: Sequence[float | None]
    draw: Callable[[float], str]
    better: Callable[[Sequence[float]], float] | None = None
    beside: Sequence[float] = ()

    def cells(self) -> list[Text]:
        """The values as text, the best in bold where one can be best."""
        known = [value for value in self.values if value is not None]
        drawn = {self.draw(value) for value in known}
        best = self.draw(self.better(known)) if self.better and len(drawn) > 1 else None
        cells = [self._cell(value, best) for value in self.values]
        seconds = [f" / {self.draw(value)}" for value in self.beside] or [""] * len(cells)
        return [cell + Text(second) for cell, second in zip(cells, seconds, strict=True)]

    def _cell(self, value: float | None, best: str | None) -> Text:
        if value is None:
            return Text("-", style="dim")
        text = self.draw(value)
        return Text(text, style="bold" if text == best else "")


def plain_comparison(comparison: Comparison) -> str:
    """The comparison as text without colours."""
    file = io.StringIO()
    console = Console(file=file, width=WIDTH, force_terminal=False)
    for table in comparison_tables(comparison):
        console.print(table)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def comparison_tables(comparison: Comparison) -> Iterator[Table | Text]:
    """One table, an index a column (several tables from six indexes on), then the notes."""
    rows = list(comparison.rows.values())
    for start in range(0, len(rows), SYSTEMS_A_TABLE):
        yield _comparison_table(comparison, rows[start : start + SYSTEMS_A_TABLE])
    for note in comparison.notes:
        yield Text(f"note: {note}", style="dim")


def _comparison_table(comparison: Comparison, rows: Sequence[Row]) -> Table:
    what = "judged queries" if comparison.judged else "queries"
    title = f"{comparison.queries:,} {what}, {comparison.environment['collection']}"
    table = Table(title=title, title_justify="left", title_style="", box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    for row in rows:
        table.add_column(row.name, justify="right", overflow="fold", min_width=15, no_wrap=True)
    for heading, lines in _sections(comparison, rows):
        table.add_row(Text(heading, style="bold cyan"))
        for line in lines:
            table.add_row(f"  {line.label}", *line.cells())
    return table


def _sections(comparison: Comparison, rows: Sequence[Row]) -> Iterator[tuple[str, list[Line]]]:
    if comparison.judged:
        yield (
            "quality (higher is better)",
            [
                Line(label_of(name), [row.quality[name] for row in rows], decimals(4), max)
                for name in rows[0].quality
            ],
        )
    yield "what the indexes find", list(_agreement(comparison, rows))
    yield "one query at a time, milliseconds p50 / p95", list(_latencies(rows))
    yield (
        "all queries as one batch",
        [Line("queries a second", [row.throughput for row in rows], count, max)],
    )
    yield (
        "building",
        [
            Line("embedding, s", [row.index.embedding_seconds for row in rows], decimals(1), min),
            Line("indexing, s", [row.index.indexing_seconds for row in rows], decimals(2)),
            Line("vectors on disk", [row.index.vectors_size for row in rows], size, min),
            Line("index file on disk", [row.index.structure_size for row in rows], size),
        ],
    )


def label_of(measure: str) -> str:
    """The name that people know a measure by: `recall@10` for `R@10`, `MRR@10` for `RR@10`."""
    for short, long in LABELS.items():
        if measure.startswith(short):
            return measure.replace(short, long, 1)
    return measure


def _agreement(comparison: Comparison, rows: Sequence[Row]) -> Iterator[Line]:
    k = comparison.k
    if len(comparison.rows) > 1:
        for other in comparison.rows:
            shares = [_overlap(comparison, row.name, other) for row in rows]
            yield Line(f"overlap@{k} with {other}", shares, decimals(3))
    yield Line(f"ann_recall@{k} (of exact)", [row.ann_recall for row in rows], decimals(3), max)
    yield Line("query words known", [row.query_coverage for row in rows], share, max)
    yield Line("corpus words known", [row.index.text.coverage for row in rows], share, max)


def _overlap(comparison: Comparison, a: str, b: str) -> float | None:
    pairwise = comparison.pairwise
    return pairwise.get((a, b), pairwise.get((b, a)))


def _latencies(rows: Sequence[Row]) -> Iterator[Line]:
    for step in ("encoding", "searching", "fetching", "total"):
        middle = [getattr(row.latency, f"{step}_p50") for row in rows]
        high = [getattr(row.latency, f"{step}_p95") for row in rows]
        yield Line(step, middle, decimals(2), min, beside=high)
