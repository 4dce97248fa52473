"""The simulation of builds on many machines: by hand, and as laws."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import cluster
from benchmarks.cluster import Costs, simulate

# Ten passages a task; a worker takes 100 s, and everything else nothing.
FREE = Costs(passages=10, read=0.0, give=0.0, embed=100.0, size=0, commit=0.0)


def test_without_other_costs_workers_share_the_work():
    for workers, hours in ((1, 360_000 / 3600), (10, 36_000 / 3600), (100, 3_600 / 3600)):
        found = simulate(FREE, 36_000, workers)
        assert (found.hours, found.efficiency, found.bound) == (hours, 1.0, "workers")


def test_a_writer_that_takes_as_long_as_a_worker_bounds_two():
    costs = Costs(passages=10, read=60.0, give=30.0, embed=100.0, size=0, commit=10.0)
    # It reads and commits for 70 s and gives for 30: a task each 100 s, and the last one's 100 s.
    found = simulate(costs, 1_000, 2)
    assert found.hours == pytest.approx((100 * 100 + 100) / 3600)
    assert found.bound == "writer"
    assert simulate(costs, 1_000, 1_000).hours == found.hours


def test_what_is_not_simulated_goes_on_at_the_same_pace(monkeypatch):
    costs = Costs(passages=10, read=0.5, give=0.5, embed=50.0, size=0, commit=0.0)
    whole = simulate(costs, 100_000, 20)
    monkeypatch.setattr(cluster, "SIMULATED", 1_000)
    assert simulate(costs, 100_000, 20).hours == pytest.approx(whole.hours, rel=0.05)


costs = st.builds(
    Costs,
    passages=st.integers(1, 50),
    read=st.floats(0, 2),
    give=st.floats(0, 2),
    embed=st.floats(0.01, 50),
    size=st.integers(0, 10**9),
    commit=st.floats(0, 1),
)


@given(costs=costs, documents=st.integers(1, 500), workers=st.integers(1, 20))
def test_more_workers_never_take_longer_and_no_build_is_faster_than_its_parts(
    costs, documents, workers
):
    one, more = (simulate(costs, documents, count) for count in (workers, 2 * workers))
    assert more.hours <= one.hours * (1 + 1e-9)
    assert 0 < one.efficiency <= 1
    tasks = -(-documents // costs.passages)
    assert one.hours * 3600 >= tasks * costs.give * (1 - 1e-9)
    assert one.hours * 3600 >= costs.embed * -(-tasks // workers) * (1 - 1e-9)
