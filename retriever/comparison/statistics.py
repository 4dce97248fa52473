"""Statistics of a comparison: differences, agreements, and how much was judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from retriever.comparison.test_set import TestSet
from retriever.evaluation import significance
from retriever.evaluation.measures import evaluate, means, overlap
from retriever.evaluation.rank_biased_overlap import mean_rbo
from retriever.evaluation.results import Agreement
from retriever.evaluation.significance import Difference
from retriever.search.results import Run

PerQuery = Mapping[str, Mapping[str, float]]


def differences_by_system(
    per_query: Mapping[str, PerQuery], measures: Sequence[str], baseline: str | None, seed: int
) -> dict[str, dict[str, Difference]]:
    """Return each system's differences from the baseline by measure."""
    found: dict[str, dict[str, Difference]] = {name: {} for name in per_query}
    if baseline is None:
        return found
    for measure in measures:
        values = {name: of[measure] for name, of in per_query.items()}
        compared = significance.differences(values.pop(baseline), values, seed=seed)
        for name, difference in compared.items():
            found[name][measure] = difference
    return found


def pairs_by_system(
    per_query: Mapping[str, PerQuery], measures: Sequence[str], seed: int
) -> dict[tuple[str, str], dict[str, Difference]]:
    """Return the differences of all pairs by measure."""
    found: dict[tuple[str, str], dict[str, Difference]] = {}
    for measure in measures:
        values = {name: of[measure] for name, of in per_query.items()}
        for pair, difference in significance.all_pairs(values, seed=seed).items():
            found.setdefault(pair, {})[measure] = difference
    return found


def agreements(runs: Mapping[str, Run], k: int) -> dict[tuple[str, str], Agreement]:
    """Return the agreement of all pairs of runs."""
    tops = {name: {q: hits[:k] for q, hits in run.ranking.items()} for name, run in runs.items()}
    return {
        (a, b): Agreement(overlap(tops[a], tops[b], k), mean_rbo(tops[a], tops[b]))
        for a, b in combinations(tops, 2)
    }


def judged_shares(runs: Mapping[str, Run], test_set: TestSet) -> dict[str, float]:
    """Return the share of each run's top `k` that has a grade; empty without judgments."""
    name = f"Judged@{test_set.k}"
    return {
        run.name: means(evaluate(run, test_set.qrels, [name]))[name]
        for run in (runs.values() if test_set.qrels else ())
    }
