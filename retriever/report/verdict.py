"""The verdict of a comparison in words: whether contextual embeddings are needed here."""

from __future__ import annotations

from indexes.errors import pluralize
from retriever.evaluation.results import ComparisonResults, Row
from retriever.evaluation.significance import Difference
from retriever.evaluation.verdict import (
    NO,
    NO_JUDGMENTS,
    ONE_KIND,
    TOO_FEW,
    UNDECIDED,
    YES,
    Verdict,
)
from retriever.formatting import decimals, format_bytes
from retriever.report.headline import needed, rounded, signed
from retriever.report.lines import label_of

QUESTION = "Do you need contextual embeddings here?"
MINUS = "\N{MINUS SIGN}"
short = decimals(3)


def verdict_lines(comparison: ComparisonResults) -> tuple[str, ...]:
    """Return two lines: the answer; and what the best system costs, and what would change it.

    Of queries that were made from the corpus, one more: how far to trust them. Nothing where
    nothing was compared.
    """
    verdict = comparison.verdict
    if verdict is None or not comparison.rows or not comparison.queries:
        return ()
    answer = f"{QUESTION} {_answer(comparison, verdict)}"
    if verdict.answer not in (NO, UNDECIDED, YES):
        return (answer,)
    trust = [comparison.trust] if comparison.trust else []
    return (answer, _costs(comparison, verdict), *trust)


def _answer(comparison: ComparisonResults, verdict: Verdict) -> str:
    if verdict.answer == NO_JUDGMENTS:
        return (
            "Cannot be said without judgments: give --qrels FILE, or let queries be made from the "
            "corpus with --queries made:300."
        )
    if verdict.answer == TOO_FEW:
        kind = comparison.kind_of_queries
        few = pluralize(len(comparison.queries), f"{kind} query is", f"{kind} queries are")
        systems = pluralize(sum(row.cost is not None for row in comparison.rows.values()), "system")
        return (
            f"Cannot be said: {few} too few; at least {verdict.needed} can show a difference "
            f"between {systems}."
        )
    if verdict.answer == ONE_KIND:
        have = [row for row in comparison.rows.values() if row.cost]
        lacks = "without" if any(row.contextual for row in have) else "with"
        return f"Cannot be said: no system {lacks} a contextual model was compared."
    rows = comparison.rows
    label = label_of(comparison.measure)
    best, enough = rows[verdict.best], rows[verdict.enough]
    if verdict.answer == NO and verdict.difference is None:
        return f"No: {_valued(comparison, best)}, the best in {label}, has no contextual model."
    if verdict.answer == NO:
        return (
            f"No: {_valued(comparison, enough)} is not distinguishably worse in {label} than the "
            f"best, {_valued(comparison, best)}: {_interval(verdict.difference)}."
        )
    if verdict.answer == UNDECIDED and verdict.difference is not None:
        p, corrected = short(verdict.difference.p), short(verdict.difference.p_holm)
        return (
            f"Undecided: {_valued(comparison, enough)} is worse in {label} than the best, "
            f"{_valued(comparison, best)}: {_interval(verdict.difference)}; but not "
            f"distinguishably once p is corrected for all systems ({p}, corrected {corrected})."
        )
    return (
        f"Yes: the best system without, {_valued(comparison, rows[verdict.without])}, is worse in "
        f"{label} than the best, {_valued(comparison, best)}: {_interval(verdict.lost)}."
    )


def _valued(comparison: ComparisonResults, row: Row) -> str:
    return f"{row.name} ({short(row.quality[comparison.measure])})"


def _interval(difference: Difference | None) -> str:
    if difference is None:
        return ""
    low, high = signed(difference.low), signed(difference.high)
    return f"{signed(difference.mean)}, 95 % interval {low} to {high}"


def _costs(comparison: ComparisonResults, verdict: Verdict) -> str:
    """Return what the best system costs more than what is enough, and what may change the answer.

    If the best has no contextual model itself, the costs of the best that has one.
    """
    rows = comparison.rows
    if verdict.answer == YES:
        costs = _dearer(rows[verdict.best], rows[verdict.without])
        as_good = f", {verdict.enough} not distinguishably worse for less"
        cheaper = "" if verdict.enough == verdict.best else as_good
        wanted = verdict.lost.queries_needed or 0 if verdict.lost else 0
        changes = "More queries will hardly change this"
        if wanted > len(comparison.queries):
            changes = f"A test with {rounded(wanted)} other queries would be needed to confirm this"
        return (
            f"{verdict.best} costs {costs}{cheaper}. {changes}; a better system without a "
            "contextual model may change it."
        )
    enough, difference = rows[verdict.enough], verdict.difference
    if difference is None:
        rival = _contextual(comparison)[0]
        return f"The best with one, {_valued(comparison, rival)}, costs {_dearer(rival, enough)}."
    changes = f"; {needed(difference)}" if needed(difference) else ""
    return f"{verdict.best} costs {_dearer(rows[verdict.best], enough)}{changes}."


def _contextual(comparison: ComparisonResults) -> list[Row]:
    """Return the contextual systems with measured costs, the best first."""
    rows = [row for row in comparison.rows.values() if row.contextual and row.cost]
    return sorted(rows, key=lambda row: -row.quality[comparison.measure])


def _dearer(one: Row, other: Row) -> str:
    """Return what one system costs more than another: time a query, building and disk."""
    times = one.query_ms / max(other.query_ms, 1e-6)
    building = one.work(0) - other.work(0)
    disk = _disk(one) - _disk(other)
    space = f"{'+' if disk > 0 else MINUS}{format_bytes(abs(disk))} of" if disk else "the same"
    return (
        f"{times:.2g} times the time a query ({one.query_ms:.2g} against "
        f"{other.query_ms:.2g} ms), {signed(building, 1)} s of building and {space} disk"
    )


def _disk(row: Row) -> int:
    return row.cost.disk_size if row.cost else 0
