"""Whether a comparison shows a need for contextual embeddings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from retriever.evaluation import significance
from retriever.evaluation.significance import Difference

if TYPE_CHECKING:
    from retriever.evaluation.results import Row

# What a verdict answers: whether contextual embeddings are needed here, or why that is not known.
NO, YES, NO_JUDGMENTS, TOO_FEW, ONE_KIND = "no", "yes", "no judgments", "too few", "one kind"


@dataclass(frozen=True)
class Verdict:
    """Whether the systems that need no contextual model are worse than the best system.

    `answer` is `no` if one of them is not distinguishably worse than the best, else `yes`; or
    `no judgments`, `too few` if there are so few queries that nothing could be significant, or
    `one kind` if all systems have a contextual model or none has. `best` is the best system in the
    first measure; `enough` the cheapest that is not distinguishably worse, of those without a
    contextual model if any is: the one with the least time to build and to answer as many queries
    as there are documents. `difference` is that of `enough` minus `best`, tested with all other
    systems' and corrected by Holm; None if they are one system. `without` is the best system that
    needs no contextual model, and `lost` its difference from the best; None if that is itself.
    """

    answer: str
    best: str = ""
    enough: str = ""
    difference: Difference | None = None
    without: str = ""
    lost: Difference | None = None


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
    if len(next(iter(values.values()))) < significance.FEWEST:
        return Verdict(TOO_FEW)
    best, tested = compared_with_best(values, seed)
    as_good = [best, *(n for n, d in tested.items() if not d.significant or d.mean >= 0)]
    enough = min(as_good, key=lambda name: measured[name].work(documents))
    without = [name for name, row in measured.items() if not row.contextual]
    if not without or len(without) == len(measured):
        return Verdict(ONE_KIND, best, enough, tested.get(enough))
    leading = max(without, key=lambda name: measured[name].quality[measure])
    answer = NO if set(without) & set(as_good) else YES
    if answer == NO:
        # The question is whether a cheaper kind will do, whatever else is as good for less.
        enough = min(
            set(without) & set(as_good), key=lambda name: (measured[name].work(documents), name)
        )
    return Verdict(answer, best, enough, tested.get(enough), leading, tested.get(leading))


def compared_with_best(
    values: Mapping[str, Mapping[str, float]], seed: int = significance.SEED
) -> tuple[str, dict[str, Difference]]:
    """Return the system with the best mean of one measure, and the differences of all others.

    `values` are by system and query. Of equal systems, the first is the best.
    """
    best = max(values, key=lambda name: math.fsum(values[name].values()))
    others = {name: of for name, of in values.items() if name != best}
    return best, significance.differences(values[best], others, seed=seed)
