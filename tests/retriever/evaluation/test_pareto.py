"""Tests of the Pareto front, by hand and against its definition."""

import math

from hypothesis import given
from hypothesis import strategies as st

from retriever.evaluation.pareto import pareto_front

# Few different numbers, so that many points tie in one or both.
NUMBERS = st.sampled_from([-math.inf, -1.0, 0.0, 0.5, 1.0, math.inf, math.nan])
POINTS = st.dictionaries(st.text("abcdefgh", min_size=1), st.tuples(NUMBERS, NUMBERS), max_size=12)


def test_a_front_worked_out_by_hand():
    points = {
        "large": (0.9, 100.0),
        "slow": (0.6, 50.0),  # medium is better and cheaper
        "medium": (0.7, 20.0),
        "same price": (0.65, 20.0),  # as medium, and worse
        "same quality": (0.7, 30.0),  # as medium, but more expensive
        "small": (0.4, 1.0),
    }
    assert pareto_front(points) == ["small", "medium", "large"]
    # Equal systems stay together; what was not measured is left out.
    points = {"b": (0.5, 2.0), "worse": (0.4, 2.0), "a": (0.5, 2.0), "cheap": (0.1, 1.0)}
    assert pareto_front(points) == ["cheap", "b", "a"]
    points = {"a": (math.nan, 0.0), "b": (1.0, math.nan), "c": (0.1, 5.0)}
    assert pareto_front(points) == ["c"]
    assert pareto_front({"a": (math.nan, 0.0)}) == []
    assert pareto_front({}) == []


@given(POINTS)
def test_the_front_has_the_systems_that_no_other_beats_and_quality_rises_with_cost(points):
    known = {name: point for name, point in points.items() if not any(map(math.isnan, point))}
    unbeaten = [
        name
        for name, (best, cost) in known.items()
        if not any(b >= best and c <= cost and (b, c) != (best, cost) for b, c in known.values())
    ]
    names = pareto_front(points)
    assert names == sorted(unbeaten, key=lambda name: known[name][1])
    assert [points[name] for name in names] == sorted(points[name] for name in names)
    assert sorted(names, key=lambda name: points[name][1]) == names
    assert pareto_front({name: points[name] for name in names}) == names
