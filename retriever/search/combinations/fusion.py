"""Fusion of rankings, by ranks or scores, and the definitions of combined indexes.

A definition is plain JSON, kept in the catalog.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.errors import InputError, check_text, did_you_mean, pluralize, short_repr
from indexes.values import is_number
from retriever.indexing.inspection import CONVEX, MINMAX, RRF

METHODS = (RRF, MINMAX, CONVEX)
RRF_K = 60
# Beyond these, scores could coincide in single precision.
WIDEST, FLATTEST = 1e6, 10_000
# How many documents each part returns: the same for every k, so that a larger k only appends.
DEPTH = 100

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Fusion:
    """A way to fuse the answers of several finders into one.

    `rrf`: the sum over the parts of weight / (rrf_k + rank), ranks from 1 (Cormack, Clarke and
    Büttcher 2009, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning
    Methods"). `minmax`: the weighted mean of scores, those of each part's list scaled to 0 for its
    lowest and 1 for its highest (Lee 1997, "Analyses of Multiple Evidence Combination"); equal
    scores become 1. `convex`: the same, but each part scores all candidates, also those that only
    others returned, and the lowest is at most 0, so that scores of BM25 become shares of the
    highest, and zeros alone stay 0 (Bruch, Gai and Ingber 2023, "An Analysis of Fusion
    Functions for Hybrid Retrieval"). With the others, a part contributes 0 for a document that it
    did not return. Each part returns `depth` documents, whatever k is.
    """

    method: str
    weights: tuple[float, ...]
    rrf_k: float = RRF_K
    depth: int = DEPTH

    def values(self, scores: Values, part: int) -> Values:
        """Return what a part contributes to each document, by its scores (n, m) of n queries.

        -inf is no score, and contributes 0. For `rrf` the scores are in descending order.
        """
        found = np.isfinite(scores)
        if self.method == RRF:
            ranks = np.arange(1, scores.shape[1] + 1)
            return np.where(found, self.weights[part] / (self.rrf_k + ranks), 0.0)
        share = self.weights[part] / sum(self.weights)
        # No score is below 0 in BM25, and few cosines are: 0 is the lowest that can be expected.
        lowest = 0.0 if self.method == CONVEX else np.inf
        low = np.where(found, scores, np.inf).min(axis=1, initial=lowest)[:, None]
        high = np.where(found, scores, -np.inf).max(axis=1, initial=-np.inf)[:, None]
        width = np.where(high > low, high - low, 1.0)
        equal = np.where((high == 0.0) & (self.method == CONVEX), 0.0, 1.0)
        scaled = np.where(high > low, (np.where(found, scores, 0.0) - low) / width, equal)
        return np.where(found, share * scaled, 0.0)


def fusion_definition(
    parts: int,
    *,
    method: str = RRF,
    weights: Sequence[float] | None = None,
    rrf_k: float = RRF_K,
    depth: int = DEPTH,
) -> Mapping[str, Any]:
    """Return the definition of a fusion of `parts` indexes; errors as in `Collection.fuse`."""
    if parts < 2:
        raise InputError("A fusion needs at least two indexes: give another.")
    check_text("The fusion method", method)
    if method not in METHODS:
        raise InputError(
            f"Unknown fusion method '{method}'; expected one of: {', '.join(METHODS)}."
            f"{did_you_mean(method, METHODS)}"
        )
    if weights is not None and not isinstance(weights, Iterable):
        raise InputError(f"The weights are {weights!r}; expected a list of {parts} numbers.")
    weights = [1.0] * parts if weights is None else list(weights)
    if len(weights) != parts:
        given = pluralize(len(weights), "weight")
        raise InputError(f"The fusion has {given} for {parts} indexes; give one each.")
    if not all(is_number(weight) and weight > 0 for weight in weights):
        raise InputError(f"The weights are {weights}; expected numbers above 0.")
    if max(weights) > WIDEST * min(weights) or not 1 / WIDEST <= max(weights) <= WIDEST:
        raise InputError(f"The weights are {weights}; expected numbers from 0.000001 to 1000000.")
    if not is_number(rrf_k) or not 0 <= rrf_k <= FLATTEST:
        raise InputError(f"rrf_k is {short_repr(rrf_k)}; expected a number from 0 to {FLATTEST}.")
    if method != RRF and rrf_k != RRF_K:
        raise InputError(f"rrf_k is of the method {RRF}, and the method is {method}. Leave it out.")
    return {
        "fuse": method,
        "weights": [float(weight) for weight in weights],
        "rrf_k": float(rrf_k),
        "depth": _checked_depth(depth),
    }


def cascade_definition(*, depth: int = DEPTH) -> dict[str, Any]:
    """Return the definition of a cascade (reranking); `depth` is checked as in a fusion."""
    return {"cascade": True, "depth": _checked_depth(depth)}


def _checked_depth(depth: int) -> int:
    if isinstance(depth, bool) or not isinstance(depth, Integral) or depth < 1:
        raise InputError(f"depth is {depth!r}; expected a whole number of at least 1.")
    return int(depth)
