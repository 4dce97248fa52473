"""Terminal tables of a comparison, at most 100 columns wide."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from indexes.errors import pluralize
from indexes.neighbors import COSINE
from retriever.evaluation.results import ESCALATED, ComparisonResults, Row
from retriever.evaluation.significance import Difference
from retriever.formatting import WIDTH, count, decimals, format_bytes, percentage, signed
from retriever.report.headline import verdict
from retriever.report.lines import NumberLine, TextLine, label_of
from retriever.report.verdict import verdict_lines

SYSTEMS_A_TABLE = 4
# Width of the labels where the columns need the rest; longer ones wrap.
LABEL_WIDTH = 32
NARROWEST_COLUMN = 15
MARKS = {"better": "▲", "worse": "▼", "not distinguishable": " "}
STYLES = {"baseline": "dim", "not distinguishable": "italic", "better": "green", "worse": "red"}

# A heading, and for each line its label and one cell per system.
Section = tuple[str, list[tuple[str, list[Text]]]]
Lines = tuple[str, Sequence[NumberLine | TextLine]]


def plain_comparison(comparison: ComparisonResults) -> str:
    """Return the comparison as plain text: the tables, then the notes."""
    file = io.StringIO()
    console = Console(file=file, width=WIDTH, force_terminal=False)
    notes = (Text(f"note: {note}", overflow="fold") for note in comparison.notes)
    for part in chain(comparison_parts(comparison), notes):
        console.print(part)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def comparison_parts(comparison: ComparisonResults, columns: int = WIDTH) -> Iterator[Table | Text]:
    """Yield the verdict, the tables, and the load that latency was measured under."""
    for number, line in enumerate(verdict_lines(comparison)):
        yield Text(textwrap.fill(line, columns), style="bold" if number == 0 else "")
    yield from comparison_tables(comparison, columns)
    if load := comparison.load:
        style = "bold yellow" if load.is_busy else "dim"
        yield from (Text(note, style=style, overflow="fold") for note in load.notes)


def comparison_tables(comparison: ComparisonResults, columns: int = WIDTH) -> Iterator[Table]:
    """Yield one table with one system per column, or several where they do not fit.

    Four systems fit into 100 columns.

    All tables have the same lines. The best value of a line over all tables is bold.
    """
    names = list(comparison.rows)
    sections = [
        (heading, [(line.label, line.cells()) for line in lines])
        for heading, lines in _sections(comparison, list(comparison.rows.values()))
        if lines
    ]
    kind, against = f"{comparison.kind_of_queries} ".lstrip(), comparison.baseline
    queries = pluralize(len(comparison.queries), f"{kind}query", f"{kind}queries")
    marks = f"; ▲▼ significantly different from {against}" if against else ""
    if comparison.pairs and not against:
        marks = "; ▲▼ significantly different, of all pairs"
    title = f"{queries}, {comparison.environment['collection']}{marks}"
    tables = -(-len(names) // max(1, columns * SYSTEMS_A_TABLE // WIDTH))
    for table in range(tables):
        # Equal parts, or one system fewer in the later tables.
        part = slice(-(-table * len(names) // tables), -(-(table + 1) * len(names) // tables))
        yield _comparison_table(title, names, sections, part, columns)


def _comparison_table(
    title: str, names: Sequence[str], sections: Sequence[Section], part: slice, columns: int
) -> Table:
    table = Table(title=title, title_justify="left", title_style="", box=None, pad_edge=False)
    table.add_column("", overflow="fold")
    longest = max(
        cell_len(str(text))
        for texts in (names, *(cells for _, lines in sections for _, cells in lines))
        for text in texts[part]
    )
    space = (columns - LABEL_WIDTH) // len(names[part]) - 2
    for name in names[part]:
        width = max(NARROWEST_COLUMN, min(longest, space))
        table.add_column(Text(name), justify="right", overflow="fold", width=width)
    for heading, lines in sections:
        table.add_row(Text(heading, style="bold cyan"))
        for label, cells in lines:
            table.add_row(Padding(Text(label), (0, 0, 0, 2)), *cells[part])
    return table


def _sections(comparison: ComparisonResults, rows: Sequence[Row]) -> Iterator[Lines]:
    yield from _qualities(comparison, rows)
    yield "what they find", [*_agreement(comparison, rows), *_similarities(rows)]
    yield "one query alone, ms p50 / p95", list(_latencies(rows))
    throughput = NumberLine("queries a second", [row.throughput for row in rows], count, max)
    yield "all queries as one batch", [throughput] if _any([throughput]) else []
    yield "building and keeping", _any(list(_costs(rows)))
    yield from _fronts(comparison, rows)


def _qualities(comparison: ComparisonResults, rows: Sequence[Row]) -> Iterator[Lines]:
    if not comparison.judged:
        return
    lines = [_quality(rows, name, marked=bool(comparison.baseline)) for name in comparison.measures]
    shares = [row.judged_share for row in rows]
    judged = NumberLine(f"judged@{comparison.k} (of the hits)", shares, percentage)
    yield "quality (higher is better)", [*lines, *_any([judged])]
    measure = comparison.measure
    if comparison.baseline:
        heading = f"{label_of(measure)} against {comparison.baseline}"
        yield heading, list(_against([row.differences.get(measure) for row in rows]))
    if comparison.pairs:
        yield f"{label_of(measure)}, each minus the others", list(_pairs(comparison, rows))
    if any(row.exact_quality for row in rows):
        yield "lost by the index, not the model", list(_losses(comparison, rows))


def _quality(rows: Sequence[Row], measure: str, marked: bool) -> NumberLine:
    found = (row.differences.get(measure) for row in rows if marked)
    marks = [" " if difference is None else MARKS[verdict(difference)] for difference in found]
    values = [row.quality[measure] for row in rows]
    return NumberLine(label_of(measure), values, decimals(4), max, marks=marks)


def _pairs(comparison: ComparisonResults, rows: Sequence[Row]) -> Iterator[NumberLine]:
    measure = comparison.measure
    for other in comparison.rows:
        pairs = [
            None if row.name == other else comparison.difference_of(row.name, other, measure)
            for row in rows
        ]
        values = [None if pair is None else pair[0] for pair in pairs]
        yield NumberLine(f"minus {other}", values, signed(4), marks=[*map(_mark, pairs)])


def _mark(pair: tuple[float, Difference] | None) -> str:
    if pair is None or not pair[1].significant:
        return " "
    return MARKS["better" if pair[0] > 0 else "worse"]


def _of(values: Sequence[object | None], name: str) -> list[Any]:
    """Return attribute `name` of each value; None stays None."""
    return [None if value is None else getattr(value, name) for value in values]


def _against(found: Sequence[Difference | None]) -> Iterator[NumberLine | TextLine]:
    yield NumberLine("difference", _of(found, "mean"), signed(4))
    yield TextLine("95 % interval", [_drawn(d, "{0.low:+.3f} {0.high:+.3f}") for d in found])
    yield NumberLine("p, by Holm", _of(found, "p_holm"), decimals(4))
    games = "{0.wins} / {0.ties} / {0.losses}"
    yield TextLine("wins / ties / losses", [_drawn(d, games) for d in found])
    said = ["baseline" if d is None else verdict(d) for d in found]
    yield TextLine("", [(word, STYLES[word]) for word in said])
    needed = [
        "-" if d is None or d.queries_needed is None else "{0.queries_needed:,}" for d in found
    ]
    yield TextLine("queries to distinguish", [*map(_drawn, found, needed)])


def _drawn(difference: Difference | None, template: str) -> tuple[str, str]:
    return ("-", "dim") if difference is None else (template.format(difference), "")


def _losses(comparison: ComparisonResults, rows: Sequence[Row]) -> Iterator[NumberLine]:
    label = label_of(comparison.measure)
    exact = [row.exact_quality.get(comparison.measure) for row in rows]
    found = [row.quality[comparison.measure] for row in rows]
    lost = [None if e is None else e - q for e, q in zip(exact, found, strict=True)]
    yield NumberLine(f"{label}, exact search", exact, decimals(4))
    yield NumberLine("... lost by the index", lost, decimals(4))


def _agreement(comparison: ComparisonResults, rows: Sequence[Row]) -> Iterator[NumberLine]:
    k = comparison.k
    for other in comparison.rows if len(rows) > 1 else ():
        pairs = [
            None if row.name == other else comparison.agreement(row.name, other) for row in rows
        ]
        overlaps, rbo = _of(pairs, "overlap"), _of(pairs, "rbo")
        yield NumberLine(f"overlap@{k} / RBO with {other}", overlaps, decimals(2), extra=[rbo])
    recalls = [row.ann_recall for row in rows]
    asked, reached = (_of([row.index for row in rows], name) for name in ("recall_asked", "recall"))
    lines = [
        NumberLine(f"ann_recall@{k} (of exact)", recalls, decimals(3), max),
        NumberLine("... recall@10 asked when built", asked, decimals(3)),
        NumberLine("... reached on its sample", reached, decimals(3)),
        NumberLine("query words known", [row.query_coverage for row in rows], percentage, max),
        NumberLine("corpus words known", [row.corpus_coverage for row in rows], percentage, max),
    ]
    yield from _any(lines)


def _similarities(rows: Sequence[Row]) -> Iterator[TextLine]:
    """Yield how vectors are compared, unless all are by the cosine."""
    found = ["" if row.index is None else row.index.similarity for row in rows]
    if set(found) - {"", COSINE}:
        yield TextLine("similarity", [(one or "-", "" if one else "dim") for one in found])


def _any(lines: Sequence[NumberLine]) -> list[NumberLine]:
    """Return the lines that have a value for some system."""
    return [line for line in lines if any(value is not None for value in line.values)]


def _latencies(rows: Sequence[Row]) -> Iterator[NumberLine]:
    latencies = [row.latency for row in rows]
    for step in ("encoding", "searching", "fetching", "total"):
        spreads = _of(latencies, step)
        middle, high = _of(spreads, "p50"), _of(spreads, "p95")
        yield from _any([NumberLine(step, middle, decimals(2), min, extra=[high])])
    highest = _of(_of(latencies, "total"), "p99")
    yield from _any([NumberLine("total, p99", highest, decimals(2), min)])
    means = [row.query_ms if row.kind == ESCALATED else None for row in rows]
    yield from _any([NumberLine("total, mean", means, decimals(2), min)])


def _costs(rows: Sequence[Row]) -> Iterator[NumberLine]:
    costs = [row.cost for row in rows]
    yield NumberLine("embedding, s", _of(costs, "embedding_seconds"), decimals(1))
    yield NumberLine("indexing, s", _of(costs, "indexing_seconds"), decimals(2))
    yield NumberLine("documents a second", _of(costs, "documents_per_second"), count, max)
    yield NumberLine("tokens a second", _of(costs, "tokens_per_second"), count, max)
    yield NumberLine("memory while building", _of(costs, "building_memory"), format_bytes, min)
    yield NumberLine("memory when open", _of(costs, "open_memory"), format_bytes, min)
    yield NumberLine("on disk", _of(costs, "disk_size"), format_bytes, min)
    yield NumberLine("... bytes a document", _of(costs, "disk_size_per_document"), count, min)


def _fronts(comparison: ComparisonResults, rows: Sequence[Row]) -> Iterator[Lines]:
    """Yield which systems are on the Pareto front of each cost."""
    fronts = comparison.fronts()
    lines = [
        TextLine(label, [("●", "") if row.name in fronts[cost] else ("-", "dim") for row in rows])
        for cost, label in (("latency", "latency"), ("building", "building time"))
        if fronts.get(cost)
    ]
    if lines:
        yield f"Pareto front of {label_of(comparison.measure)} and", lines
