"""Contents of the tables of the HTML page."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from retriever.evaluation.results import ComparisonResults, Cost, Row, Spread
from retriever.evaluation.significance import Difference
from retriever.formatting import (
    NOTHING,
    count,
    decimals,
    format_bytes,
    format_optional,
    percentage,
)
from retriever.report.headline import JOINED, needed, signed, verdict
from retriever.report.html.cells import MARKS, TONES, Better, Cell, Draw, Table, chance_of, column
from retriever.report.html.pairs import pairs_table
from retriever.report.lines import label_of

value_of = decimals(4)
# One number of decimals in a column: 87.02 above 134.00.
precise = decimals(2)


def page_tables(comparison: ComparisonResults) -> dict[str, list[Table]]:
    """Return the tables of each section of the page, without empty ones."""
    parts = {
        "quality": [_quality(comparison), _losses(comparison)] if comparison.judged else [],
        "chance": [
            *(_chance(comparison, measure) for measure in comparison.measures),
            *(pairs_table(comparison, measure) for measure in comparison.measures),
        ],
        "cost": [_answering(comparison), _building(comparison)],
        "agreement": [_agreement(comparison)],
        "systems": [_systems(comparison)],
    }
    return {part: [table for table in tables if table.rows] for part, tables in parts.items()}


def _quality(comparison: ComparisonResults) -> Table:
    rows = list(comparison.rows.values())
    columns = [_qualities(comparison, rows, measure) for measure in comparison.measures]
    against = f"; under it the difference to {comparison.baseline}" if _key(comparison) else ""
    return Table(
        f"Quality, higher is better{against}",
        [label_of(measure) for measure in comparison.measures],
        [(row.name, [cells[at] for cells in columns]) for at, row in enumerate(rows)],
        _key(comparison),
    )


def _qualities(comparison: ComparisonResults, rows: Sequence[Row], measure: str) -> list[Cell]:
    cells = column([row.quality.get(measure) for row in rows], value_of, max)
    return [
        _against(cell, row.differences.get(measure), comparison)
        for cell, row in zip(cells, rows, strict=True)
    ]


def _key(comparison: ComparisonResults) -> str:
    if comparison.baseline is None or len(comparison.rows) < 2:
        return ""
    return (
        f"▲ better and ▼ worse than {comparison.baseline} (p < 0.05, Holm-corrected); "
        "≈ not distinguishable from it."
    )


def _against(cell: Cell, difference: Difference | None, comparison: ComparisonResults) -> Cell:
    if difference is None:
        return Cell(cell.text, cell.best)
    said = verdict(difference)
    return Cell(
        cell.text,
        cell.best,
        note=f"{MARKS[said]} {signed(difference.mean)}",
        spoken=f"{said} {JOINED[said]} {comparison.baseline}",
        tone=TONES[said],
    )


def _losses(comparison: ComparisonResults) -> Table:
    """Return the quality lost by approximate indexes, apart from that lost by the embedding."""
    measure = comparison.measures[0]
    label, recall = label_of(measure), _recall(comparison)
    rows = [row for row in comparison.rows.values() if measure in row.exact_quality]
    return Table(
        "Quality lost by the model and by the index",
        [f"{label}, exact search", f"{label}, this index", "lost by the index", recall],
        [(row.name, _loss(row, measure)) for row in rows],
        "Exact search uses the same vectors: what it misses is lost by the embedding; "
        "the rest is lost by the index.",
    )


def _loss(row: Row, measure: str) -> list[Cell]:
    exact, found = row.exact_quality[measure], row.quality[measure]
    return [
        Cell(value_of(exact)),
        Cell(value_of(found)),
        Cell(signed(exact - found, 4)),
        Cell(format_optional(row.ann_recall, decimals(3))),
    ]


def _recall(comparison: ComparisonResults) -> str:
    return f"ann_recall@{comparison.k}"


def _chance(comparison: ComparisonResults, measure: str) -> Table:
    rows = [row for row in comparison.rows.values() if measure in row.differences]
    return Table(
        f"{label_of(measure)}, difference to {comparison.baseline}",
        ["Difference", "95 % interval", "p", "p, Holm", "Wins / ties / losses", "Verdict"],
        [(row.name, _difference(row.differences[measure])) for row in rows],
        folded=measure != comparison.measures[0],
    )


def _difference(difference: Difference) -> list[Cell]:
    said = verdict(difference)
    return [
        Cell(signed(difference.mean, 4)),
        Cell(f"{signed(difference.low)} to {signed(difference.high)}"),
        Cell(chance_of(difference.p)),
        Cell(chance_of(difference.p_holm)),
        Cell(f"{difference.wins} / {difference.ties} / {difference.losses}"),
        Cell(f"{MARKS[said]} {said}", note=needed(difference), tone=TONES[said], words=True),
    ]


def _answering(comparison: ComparisonResults) -> Table:
    rows = [row for row in comparison.rows.values() if row.latency]
    steps = ("encoding", "searching", "fetching", "total")
    columns = [_spreads([getattr(row.latency, step) for row in rows]) for step in steps]
    columns.append(column([row.throughput for row in rows], count, max))
    load = comparison.load.notes if comparison.load else ()
    heads = ("Encoding", "Searching", "Fetching", "All", "Queries/s, as a batch")
    return Table(
        "Answering: one query alone, milliseconds, p50 / p95 / p99",
        [*heads, *_front_column(comparison)],
        _with_front(comparison, "latency", rows, columns),
        " ".join(filter(None, [_front_key(comparison, "the time of a query"), *load])),
    )


def _spreads(spreads: Sequence[Spread]) -> list[Cell]:
    medians = column([spread.p50 for spread in spreads], precise, min)
    return [
        Cell(cell.text, cell.best, note=f"{precise(s.p95)} / {precise(s.p99)}")
        for cell, s in zip(medians, spreads, strict=True)
    ]


def _building(comparison: ComparisonResults) -> Table:
    priced = [(row, row.cost) for row in comparison.rows.values() if row.cost]
    lines: Sequence[tuple[str, Callable[[Cost], float | None], Draw, Better]] = (
        ("Embedding, s", lambda cost: cost.embedding_seconds, precise, min),
        ("Indexing, s", lambda cost: cost.indexing_seconds, precise, min),
        ("Documents/s", lambda cost: cost.documents_per_second, count, max),
        ("Tokens/s", lambda cost: cost.tokens_per_second, count, max),
        ("Memory, building", lambda cost: cost.building_memory, format_bytes, min),
        ("Memory, open", lambda cost: cost.open_memory, format_bytes, min),
        ("On disk", lambda cost: cost.disk_size, format_bytes, min),
        ("Bytes a document", lambda cost: cost.disk_size_per_document, count, min),
    )
    columns = [
        column([of(cost) for _, cost in priced], draw, better) for _, of, draw, better in lines
    ]
    return Table(
        "Building and keeping",
        [*(label for label, *_ in lines), *_front_column(comparison)],
        _with_front(comparison, "building", [row for row, _ in priced], columns),
        _front_key(comparison, "the time to build"),
    )


def _front_column(comparison: ComparisonResults) -> list[str]:
    return ["Pareto front"] if comparison.judged else []


def _with_front(
    comparison: ComparisonResults,
    pareto_front: str,
    rows: Sequence[Row],
    columns: Sequence[Sequence[Cell]],
) -> list[tuple[str, Sequence[Cell]]]:
    """Return rows made of columns, with a last column for a Pareto front if there is one."""
    on = comparison.fronts().get(pareto_front)
    last = {row.name: [Cell("yes" if row.name in on else NOTHING)] if on else [] for row in rows}
    return [
        (row.name, [*(column[at] for column in columns), *last[row.name]])
        for at, row in enumerate(rows)
    ]


def _front_key(comparison: ComparisonResults, cost: str) -> str:
    if not comparison.judged:
        return ""
    measure = label_of(comparison.measures[0])
    return f"Pareto front: no other system has a higher {measure} for the same or less of {cost}."


def _agreement(comparison: ComparisonResults) -> Table:
    names = list(comparison.rows)
    k = comparison.k
    return Table(
        f"Similarity of the results: overlap@{k}, and rank-biased overlap under it",
        names,
        [(a, [_alike(comparison, a, b) for b in names]) for a in names] if len(names) > 1 else [],
        f"overlap@{k}: the share of the top {k} that two systems have in common, in any order. "
        "Rank-biased overlap weighs the first ranks more.",
    )


def _alike(comparison: ComparisonResults, a: str, b: str) -> Cell:
    if a == b:
        return Cell(NOTHING)
    pair = comparison.agreement(a, b)
    return Cell(f"{pair.overlap:.3f}", note=f"{pair.rbo:.3f}", heat=round(10 * pair.overlap))


def _systems(comparison: ComparisonResults) -> Table:
    columns = ("Kind", "Family", "What it is", "Query words known", "Corpus words known")
    judged = f"Judged@{comparison.k}"
    return Table(
        "What was compared",
        [*columns, _recall(comparison), judged],
        [(row.name, _attributes(row)) for row in comparison.rows.values()],
        f"{_recall(comparison)}: the share of the exact top {comparison.k} that an index finds. "
        f"{judged}: the share of the top {comparison.k} that has a judgment.",
    )


def _attributes(row: Row) -> list[Cell]:
    return [
        *(Cell(text, words=True) for text in (row.kind, row.family, row.description)),
        *(Cell(percentage(known)) for known in (row.query_coverage, row.corpus_coverage)),
        Cell(format_optional(row.ann_recall, decimals(3))),
        Cell(percentage(row.judged_share)),
    ]
