"""Tables of the differences of all pairs of systems."""

from __future__ import annotations

from retriever.evaluation.results import ComparisonResults
from retriever.formatting import NOTHING
from retriever.report.headline import signed
from retriever.report.html.cells import MARKS, TONES, Cell, Table, chance_of
from retriever.report.lines import label_of


def pairs_table(comparison: ComparisonResults, measure: str) -> Table:
    """Return the differences of one measure, row minus column, with their corrected p."""
    names = list(comparison.rows) if comparison.pairs else []
    return Table(
        f"{label_of(measure)}, all pairs: row minus column",
        names,
        [(a, [_cell(comparison, a, b, measure) for b in names]) for a in names],
        f"Under a difference: p, Holm-corrected over the {len(comparison.pairs):,} pairs. "
        "▲ better and ▼ worse (p < 0.05); ≈ not distinguishable.",
        folded=measure != comparison.measures[0],
    )


def _cell(comparison: ComparisonResults, a: str, b: str, measure: str) -> Cell:
    if a == b:
        return Cell(NOTHING)
    mean, pair = comparison.difference_of(a, b, measure)
    said = "not distinguishable"
    if pair.significant:
        said = "better" if mean > 0 else "worse"
    note = f"{MARKS[said]} p {chance_of(pair.p_holm)}"
    return Cell(signed(mean), note=note, spoken=f"{said}, row minus column", tone=TONES[said])
