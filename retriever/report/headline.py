"""A plain-language summary of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from indexes.errors import pluralize
from retriever.evaluation.results import ComparisonResults
from retriever.evaluation.significance import Difference
from retriever.formatting import decimals, join_names
from retriever.report.lines import label_of

short = decimals(3)
shown = decimals(4)
# The verdicts, each with the word before the name of the baseline.
JOINED = {"better": "than", "not distinguishable": "from", "worse": "than"}


@dataclass(frozen=True)
class Headline:
    """The main result, and the sentences that qualify it."""

    title: str
    sentences: Sequence[str]


def headline(comparison: ComparisonResults) -> Headline:
    """Return which system is best, whether that may be chance, and which are worth their cost."""
    if not comparison.rows or not comparison.queries:
        return Headline("Nothing was compared.", ())
    if not comparison.judged:
        systems = pluralize(len(comparison.rows), "system")
        queries = pluralize(len(comparison.queries), "query", "queries")
        return Headline(f"{systems} answered {queries}.", [*_agreement(comparison), NOT_JUDGED])
    best, value = _best(comparison)
    measure = label_of(comparison.measures[0])
    if len(comparison.rows) == 1:
        return Headline(f"{best[0]} reaches {value} in {measure}.", _missed(comparison))
    title = f"{join_names(best)} {'is' if len(best) == 1 else 'are'} best in {measure} ({value})."
    sentences = [*_chance(comparison, best), *_fronts(comparison), *_missed(comparison)]
    return Headline(title, sentences)


NOT_JUDGED = (
    "Without judgments, systems cannot be ranked; this report shows how similar their results "
    "are, and what they cost."
)


NO_BASELINE = "No baseline was given, so no differences from one are listed."


def verdict(difference: Difference) -> str:
    """Return `better`, `worse` or `not distinguishable` for a difference to the baseline."""
    if not difference.significant:
        return "not distinguishable"
    return "better" if difference.mean > 0 else "worse"


def needed(difference: Difference) -> str:
    """Return how many queries would distinguish the two, if these did not; "" if unknown."""
    if difference.significant or not difference.queries_needed:
        return ""
    wanted = pluralize(rounded(difference.queries_needed), "query", "queries")
    return f"about {wanted} needed to distinguish"


def rounded(queries: int) -> int:
    """Return a needed number of queries with two significant digits: it is an estimate."""
    return int(float(f"{queries:.2g}"))


def signed(value: float, places: int = 3) -> str:
    """Format a difference with its sign and a typographic minus; zero has no sign."""
    text = f"{value:+.{places}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")


def _best(comparison: ComparisonResults) -> tuple[list[str], str]:
    """Return the systems with the best value, equal as tables show it, and the value."""
    measure = comparison.measures[0]
    values = {row.name: row.quality[measure] for row in comparison.rows.values()}
    top = max(values.values())
    return [name for name, value in values.items() if shown(value) == shown(top)], short(top)


def _chance(comparison: ComparisonResults, best: Sequence[str]) -> list[str]:
    """Return the verdicts against the baseline: of the best system, then of all others."""
    measure, baseline = comparison.measures[0], comparison.baseline
    if baseline is None:
        return [] if comparison.pairs else [NO_BASELINE]
    found = {
        name: row.differences[measure]
        for name, row in comparison.rows.items()
        if measure in row.differences
    }
    sentences = []
    if best[0] in found and len(best) == 1:
        value = short(comparison.rows[baseline].quality[measure])
        sentences.append(_about_best(best[0], found.pop(best[0]), f"{baseline} ({value})"))
    for meant, joined in JOINED.items():
        names = [name for name, difference in found.items() if verdict(difference) == meant]
        if names:
            sentences.append(f"{meant.capitalize()} {joined} {baseline}: {join_names(names)}.")
    return sentences


def _about_best(name: str, difference: Difference, baseline: str) -> str:
    said = verdict(difference)
    interval = f"{signed(difference.low)} to {signed(difference.high)}"
    tail = f"; {needed(difference)}" if needed(difference) else ""
    return (
        f"{name} is {said} {JOINED[said]} the baseline, {baseline}: "
        f"{signed(difference.mean)}, 95 % interval {interval}{tail}."
    )


def _fronts(comparison: ComparisonResults) -> list[str]:
    fronts = comparison.fronts()
    costs = {"latency": "time a query", "building": "time to build"}
    return [
        f"Pareto front of quality and {cost}, where no other system is as good for less: "
        f"{join_names(fronts[key])}."
        for key, cost in costs.items()
        if fronts.get(key)
    ]


def _missed(comparison: ComparisonResults) -> list[str]:
    missed = 0 if comparison.trust else len(comparison.missed())
    if not missed:
        return []
    them = "its label" if missed == 1 else "their labels"
    queries = pluralize(missed, "query", "queries")
    return [f"For {queries} no system found a relevant document: check {them}."]


def _agreement(comparison: ComparisonResults) -> list[str]:
    pairs = sorted(comparison.pairwise.items(), key=lambda pair: -pair[1].overlap)
    if not pairs:
        return []
    (names, most), (least_alike, least) = pairs[0], pairs[-1]
    k = comparison.k
    if len(pairs) == 1:
        return [f"{join_names(names)} have an overlap@{k} of {short(most.overlap)}."]
    said = f"{join_names(names)} agree most (overlap@{k} {short(most.overlap)})"
    return [f"{said}, {join_names(least_alike)} least ({short(least.overlap)})."]
