"""Whether a comparison shows a need for contextual embeddings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from retriever.evaluation import significance
from retriever.evaluation.significance import Difference

if TYPE_CHECKING:
    from retriever.evaluation.results import Row

# What a verdict answers: whether contextual embeddings are needed here, or why that is not known.
NO, UNDECIDED, YES = "no", "undecided", "yes"
NO_JUDGMENTS, TOO_FEW, ONE_KIND = "no judgments", "too few", "one kind"


@dataclass(frozen=True)
class Verdict:
    """Whether the systems that need no contextual model are worse than the best system.

    `answer` is `no` if one of them is not distinguishably worse than the best: its p is 0.05 or
    more, before any correction. It is `yes` if all are worse by p after Holm's correction over all
    systems, and `undecided` in between; or `no judgments`, `too few` if there are fewer queries
    than `needed`, with which nothing could be significant, or `one kind` if all systems have a
    contextual model or none has. `best` is the best system in the first measure; `enough` the
    cheapest that is not distinguishably worse, of those without a contextual model if any is: the
    one with the least time to build and to answer as many queries as there are documents.
    `difference` is that of `enough` minus `best`; None if they are one system. `without` is the
    best system that needs no contextual model, and `lost` its difference from the best; None if
    that is itself. With `undecided`, `enough` is the best of those that may be.
    """

    answer: str
    best: str = ""
    enough: str = ""
    difference: Difference | None = None
    without: str = ""
    lost: Difference | None = None
    needed: int = 0


def verdict_of(
    rows: Mapping[str, Row],
    per_query: Mapping[str, Mapping[str, Mapping[str, float]]],
    measures: Sequence[str],
    documents: int,
    seed: int = significance.SEED,
) -> Verdict:
    """Return the verdict over systems with measured costs; imported runs have none."""
    measured = {name: row for name, row in rows.items() if row.cost and row.latency}
    if not measures or not measured:
        return Verdict(NO_JUDGMENTS if not measures else ONE_KIND)
    measure = measures[0]
    values = {name: per_query[name][measure] for name in measured}
    needed = significance.fewest_queries(len(values) - 1)
    if len(values) > 1 and len(next(iter(values.values()))) < needed:
        return Verdict(TOO_FEW, needed=needed)
    best, tested = compared_with_best(values, seed)
    as_good = {best, *(name for name, difference in tested.items() if _is_as_good(difference))}

    def cheapest(names: Iterable[str]) -> str:
        return min(names, key=lambda name: (measured[name].work(documents), name))

    without = [name for name, row in measured.items() if not row.contextual]
    if not without or len(without) == len(measured):
        enough = cheapest(as_good)
        return Verdict(ONE_KIND, best, enough, tested.get(enough))
    leading = max(without, key=lambda name: measured[name].quality[measure])
    # The question is whether a cheaper kind will do, whatever else is as good for less.
    if will_do := as_good & set(without):
        answer, enough = NO, cheapest(will_do)
    elif unsure := [name for name in without if not tested[name].significant]:
        answer, enough = UNDECIDED, max(unsure, key=lambda name: measured[name].quality[measure])
    else:
        answer, enough = YES, cheapest(as_good)
    return Verdict(answer, best, enough, tested.get(enough), leading, tested.get(leading))


def _is_as_good(difference: Difference) -> bool:
    return difference.mean >= 0 or difference.p >= significance.ALPHA


def compared_with_best(
    values: Mapping[str, Mapping[str, float]], seed: int = significance.SEED
) -> tuple[str, dict[str, Difference]]:
    """Return the system with the best mean of one measure, and the differences of all others.

    `values` are by system and query. Of equal systems, the first is the best.
    """
    best = max(values, key=lambda name: math.fsum(values[name].values()))
    others = {name: of for name, of in values.items() if name != best}
    return best, significance.differences(values[best], others, seed=seed)
