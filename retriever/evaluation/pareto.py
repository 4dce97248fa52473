"""Pareto front of quality and cost."""

from __future__ import annotations

import math
from collections.abc import Mapping


def pareto_front(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """Return the names on the Pareto front of `points`, cheapest first; quality rises along it.

    `points` maps a name to its quality (higher is better) and cost (lower is better). A point is
    off the front if another is at least as good in both and better in one. Points equal in both
    stay together, in the given order. Points with a NaN are left out.
    """
    known = {name: pair for name, pair in points.items() if not any(map(math.isnan, pair))}
    names: list[str] = []
    for name in sorted(known, key=lambda name: (known[name][1], -known[name][0])):
        # All points before cost no more, so only more quality or a tie qualifies.
        last = known[names[-1]] if names else None
        if last is None or known[name][0] > last[0] or known[name] == last:
            names.append(name)
    return names
