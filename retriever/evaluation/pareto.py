"""Which systems no other beats in quality and cost at once: the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Mapping


def pareto_front(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """The names on the Pareto front of `points`, cheapest first; quality rises along it.

    `points` maps a name to its quality, where higher is better, and its cost, where lower is
    better. A point is off the front if another is at least as good in both and better in one.
    Points equal in both stay on it together, in the order given. Those with a NaN, a cost or a
    quality that was not measured, are left out.
    """
    known = {name: pair for name, pair in points.items() if not any(map(math.isnan, pair))}
    names: list[str] = []
    for name in sorted(known, key=lambda name: (known[name][1], -known[name][0])):
        # Everything before costs no more, so only more quality or a tie earns a place.
        last = known[names[-1]] if names else None
        if last is None or known[name][0] > last[0] or known[name] == last:
            names.append(name)
    return names
