"""What a comparison says, in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from retriever.evaluation.results import Comparison
from retriever.evaluation.significance import Difference
from retriever.formatting import decimals, many
from retriever.report.terminal.lines import label_of

short = decimals(3)


@dataclass(frozen=True)
class Headline:
    """The one thing to remember, and the sentences that qualify it."""

    title: str
    sentences: Sequence[str]


def headline(comparison: Comparison) -> Headline:
    """Which system is best, whether that may be chance, and which are worth their cost."""
    if not comparison.rows or not comparison.queries:
        return Headline("Nothing was compared.", ())
    if not comparison.judged:
        return Headline(_counted(comparison), [*_alike(comparison), NOT_JUDGED])
    best, value = _best(comparison)
    measure = label_of(comparison.measures[0])
    one = len(comparison.rows) == 1
    title = (
        f"{best[0]} reaches {value} in {measure}"
        if one
        else f"{listed(best)} {'is' if len(best) == 1 else 'are'} best in {measure} ({value})"
    )
    chance = [] if one else _chance(comparison, best)
    return Headline(f"{title}.", [*chance, *_fronts(comparison), *_missed(comparison)])


NOT_JUDGED = (
    "Without judgments no system can be called better; this shows how alike the answers are, "
    "and what they cost."
)


def verdict(difference: Difference) -> str:
    """`better`, `worse` or `not distinguishable`: what a difference to the baseline says."""
    if not difference.significant:
        return "not distinguishable"
    return "better" if difference.mean > 0 else "worse"


def needed(difference: Difference) -> str:
    """How many queries would tell the two apart, where these did not; empty if nobody knows."""
    if difference.significant or not difference.queries_needed:
        return ""
    # Two digits: the estimate is no better than that.
    rounded = int(float(f"{difference.queries_needed:.2g}"))
    return f"about {many(rounded, 'query', 'queries')} needed to tell"


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def signed(value: float, places: int = 3) -> str:
    """A difference with its sign, zero without; the minus as wide as the plus."""
    text = f"{value:+.{places}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")


def _counted(comparison: Comparison) -> str:
    systems = many(len(comparison.rows), "system", "systems")
    return f"{systems} answered {many(len(comparison.queries), 'query', 'queries')}."


def _best(comparison: Comparison) -> tuple[list[str], str]:
    """The systems whose value is the best as it is drawn, and the value."""
    measure = comparison.measures[0]
    drawn = {name: short(row.quality[measure]) for name, row in comparison.rows.items()}
    top = short(max(row.quality[measure] for row in comparison.rows.values()))
    return [name for name, value in drawn.items() if value == top], top


def _chance(comparison: Comparison, best: Sequence[str]) -> list[str]:
    """What the differences to the baseline say: of the best, then of all others."""
    measure, baseline = comparison.measures[0], comparison.baseline
    if baseline is None:
        return ["No baseline was named, so no difference was tested against chance."]
    found = {
        name: row.differences[measure]
        for name, row in comparison.rows.items()
        if measure in row.differences
    }
    sentences = []
    if best[0] in found and len(best) == 1:
        value = short(comparison.rows[baseline].quality[measure])
        sentences.append(_about_best(best[0], found.pop(best[0]), f"{baseline} ({value})"))
    groups = {
        f"Better than {baseline}": "better",
        f"Not distinguishable from {baseline}": "not distinguishable",
        f"Worse than {baseline}": "worse",
    }
    for start, meant in groups.items():
        names = [name for name, difference in found.items() if verdict(difference) == meant]
        if names:
            sentences.append(f"{start}: {listed(names)}.")
    return sentences


def _about_best(name: str, difference: Difference, baseline: str) -> str:
    said = verdict(difference)
    from_than = "from" if said == "not distinguishable" else "than"
    interval = f"{signed(difference.low)} to {signed(difference.high)}"
    tail = f"; {needed(difference)}" if needed(difference) else ""
    return (
        f"{name} is {said} {from_than} the baseline, {baseline}: "
        f"{signed(difference.mean)}, 95 % interval {interval}{tail}."
    )


def _fronts(comparison: Comparison) -> list[str]:
    if len(comparison.rows) == 1:
        return []
    fronts = comparison.fronts()
    asked = {"latency": "time a query", "building": "time to build"}
    return [
        f"Worth {'its' if len(fronts[key]) == 1 else 'their'} {cost}, "
        f"as no other is as good for less: {listed(fronts[key])}."
        for key, cost in asked.items()
        if fronts.get(key)
    ]


def _missed(comparison: Comparison) -> list[str]:
    missed = len(comparison.missed())
    if not missed:
        return []
    them = "its label" if missed == 1 else "their labels"
    queries = many(missed, "query", "queries")
    return [f"For {queries} no system found a relevant document: check {them}."]


def _alike(comparison: Comparison) -> list[str]:
    pairs = sorted(comparison.pairwise.items(), key=lambda pair: -pair[1].overlap)
    if not pairs:
        return []
    (names, most), (strangers, least) = pairs[0], pairs[-1]
    k = comparison.k
    said = f"{listed(names)} agree most (overlap@{k} {short(most.overlap)})"
    if len(pairs) == 1:
        return [f"{listed(names)} have an overlap@{k} of {short(most.overlap)}."]
    return [f"{said}, {listed(strangers)} least ({short(least.overlap)})."]
