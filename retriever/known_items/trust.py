"""How often the order of systems by made queries was right, where judgments say what is right.

The figures are those of `benchmarks/results/known_items.json`, which `benchmarks/known_items.py`
measures: sums over its collections and samples, by the reciprocal rank. A test holds them equal.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from retriever.document_queries.kinds import KINDS


@dataclass(frozen=True)
class Trust:
    """Figures of one set of queries.

    Of `claimed` pairs of systems that differ significantly by made queries, `confirmed` have the
    same order by judgments. Of `significant` pairs by judgments, `reversed` have the other order.
    `tau` is Kendall's, the mean over samples of each collection, then over collections, however few
    queries they have; the counts are sums over all samples. Of all `samples` of queries, `same`
    gave the answer that judgments give to whether contextual embeddings are needed.
    """

    tau: float
    significant: int
    reversed: int
    claimed: int
    confirmed: int
    samples: int
    same: int


COLLECTIONS = "SciFact, Cranfield and ADI"
# By this measure, and with up to 300 queries of each kind: ADI's few documents give 29 to 82.
BY, LEAST = "RR@100", 25
# By the kinds of queries, in the order of `KINDS`.
MEASURED: dict[tuple[str, ...], Trust] = {
    ("title",): Trust(0.85, 200, 2, 215, 209, 7, 6),
    ("first",): Trust(0.83, 200, 4, 189, 184, 7, 6),
    ("middle",): Trust(0.82, 200, 6, 196, 189, 7, 4),
    ("keywords",): Trust(0.66, 200, 20, 192, 173, 7, 1),
    ("title", "first"): Trust(0.88, 389, 3, 387, 376, 13, 12),
    ("title", "first", "middle"): Trust(0.91, 578, 0, 588, 574, 19, 17),
    ("title", "first", "middle", "keywords"): Trust(0.88, 767, 1, 781, 763, 25, 16),
}


def trust_in(kinds: Iterable[str], queries: int, measure: str) -> str:
    """Return a sentence on how far to trust verdicts by some queries of some kinds."""
    some = set(kinds)
    found = MEASURED.get(tuple(kind for kind in KINDS if kind in some))
    if found is None:
        return "How far to trust verdicts by queries of this kind was not measured."
    if measure != BY:
        return f"How far to trust such a verdict was measured by {BY} only, not by {measure}."
    if queries < LEAST:
        return (
            "How far to trust verdicts by so few made queries was not measured: make at least "
            f"{LEAST}."
        )
    return (
        f"How far to trust it: in {found.samples} samples of such queries, of {COLLECTIONS}, "
        f"{found.confirmed} of {found.claimed} significant differences had the same sign by human "
        f"judgments; of {found.significant} that are significant by human judgments, "
        f"{found.reversed} had the opposite sign (Kendall's tau {found.tau:.2f}); {found.same} of "
        f"{found.samples} samples agreed with them on whether contextual embeddings are needed."
    )
