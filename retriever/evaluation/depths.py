"""Quality by the number of hits that count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from retriever.evaluation.measures import at_cutoffs, evaluate, means
from retriever.evaluation.results import ComparisonResults

CUTOFFS = (1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 500, 1000)


@dataclass(frozen=True)
class QualityByDepth:
    """The mean of one measure at several `cutoffs`, by system; `family` is such as `nDCG`."""

    family: str
    cutoffs: Sequence[int]
    values: Mapping[str, Sequence[float]]


def quality_by_depth(comparison: ComparisonResults) -> QualityByDepth | None:
    """Return the first measure that has a cutoff at others, as deep as the runs are.

    None without judgments, without such a measure, or if the runs are one document deep.
    """
    depth = max((run.k for run in comparison.runs.values()), default=0)
    cutoffs = [cutoff for cutoff in CUTOFFS if cutoff <= depth]
    names = next(filter(None, (at_cutoffs(one, cutoffs) for one in comparison.measures)), ())
    if len(names) < 2:
        return None
    qrels = {query_id: query.judgments for query_id, query in comparison.queries.items()}
    found = {name: means(evaluate(run, qrels, names)) for name, run in comparison.runs.items()}
    return QualityByDepth(
        names[0].rpartition("@")[0],
        cutoffs,
        {name: [of[measure] for measure in names] for name, of in found.items()},
    )
