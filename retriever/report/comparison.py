"""A comparison as a table of at most 100 columns, the best values in bold."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from retriever.comparison import Comparison, Row
from retriever.report.numbers import WIDTH, count, decimals, many, share, size

__all__ = ["comparison_tables", "label_of", "plain_comparison"]

SYSTEMS_A_TABLE = 4
# What the labels get where the columns need the rest; longer ones go over several lines.
LABEL_WIDTH = 32
NARROWEST_COLUMN = 15
LABELS = {"R@": "recall@", "RR@": "MRR@"}


@dataclass(frozen=True)
class Line:
    """A line of the comparison: a value for every index, drawn, and which end of it is better.

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
        seconds = [f" / {self.draw(value)}" for value in self.beside] or [""] * len(self.values)
        return [
            Text.assemble(self._drawn(value, best), second)
            for value, second in zip(self.values, seconds, strict=True)
        ]

    def _drawn(self, value: float | None, best: str | None) -> tuple[str, str]:
        """A value as text and style."""
        if value is None:
            return "-", "dim"
        text = self.draw(value)
        return text, "bold" if text == best else ""


# A heading, and for every line of the section its label and a cell for every index.
Section = tuple[str, list[tuple[str, list[Text]]]]


def plain_comparison(comparison: Comparison) -> str:
    """The comparison as text without colours: the tables, then the notes."""
    file = io.StringIO()
    console = Console(file=file, width=WIDTH, force_terminal=False)
    notes = (Text(f"note: {note}", overflow="fold") for note in comparison.notes)
    for part in chain(comparison_tables(comparison), notes):
        console.print(part)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def comparison_tables(comparison: Comparison) -> Iterator[Table]:
    """One table, an index a column; from five indexes on several, alike in their lines.

    The best value of a line is bold, whichever table it is in.
    """
    names = list(comparison.rows)
    sections = [
        (heading, [(line.label, line.cells()) for line in lines])
        for heading, lines in _sections(comparison, list(comparison.rows.values()))
    ]
    for start in range(0, len(names), SYSTEMS_A_TABLE):
        yield _comparison_table(
            _title(comparison), names, sections, slice(start, start + SYSTEMS_A_TABLE)
        )


def _title(comparison: Comparison) -> str:
    judged = "judged " if comparison.judged else ""
    queries = many(comparison.queries, f"{judged}query", f"{judged}queries")
    return f"{queries}, {comparison.environment['collection']}"


def _comparison_table(
    title: str, names: Sequence[str], sections: Sequence[Section], part: slice
) -> Table:
    table = Table(title=title, title_justify="left", title_style="", box=None, pad_edge=False)
    table.add_column("", overflow="fold")
    longest = max(
        cell_len(str(text))
        for texts in (names, *(cells for _, lines in sections for _, cells in lines))
        for text in texts[part]
    )
    room = (WIDTH - LABEL_WIDTH) // len(names[part]) - 2
    for name in names[part]:
        width = max(NARROWEST_COLUMN, min(longest, room))
        table.add_column(Text(name), justify="right", overflow="fold", width=width)
    for heading, lines in sections:
        table.add_row(Text(heading, style="bold cyan"))
        for label, cells in lines:
            table.add_row(Padding(Text(label), (0, 0, 0, 2)), *cells[part])
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
    yield "one query alone, ms p50 / p95", list(_latencies(rows))
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
