"""A comparison says which load of other processes its latency was measured under, and warns."""

import json
from dataclasses import replace

import pytest

from retriever import compare
from retriever.comparison.load import Reading, load_between
from retriever.evaluation.results import Load
from tests.support.samples import three
from tests.support.toy import QUERIES

IDLE, BUSY = Load(0.1, 2, 2, 0.8), Load(1.3, 2, 2, 3.25)
WARNING = "Measure again on an idle machine"


def test_what_this_process_computes_is_no_load():
    before, after = Reading(100.0, 5.0, 40.0), Reading(116.0, 9.0, 50.0)
    assert load_between(before, after, 4, 2.5).others == pytest.approx(1.2)
    assert load_between(before, replace(after, busy=103.0), 4, 2.5).others == 0
    assert load_between(before, replace(after, busy=900.0), 4, 2.5).others == 4


@pytest.mark.parametrize(
    ("others", "cores", "own", "is_busy"),
    [(0.25, 2, 2, False), (0.3, 2, 2, True), (60.0, 64, 4, False), (60.5, 64, 4, True)],
)
def test_a_machine_is_busy_if_others_compute_on_cores_that_this_process_may_use(
    others, cores, own, is_busy
):
    assert Load(others, cores, own).is_busy == is_busy


def test_the_load_is_said_and_a_busy_machine_is_warned_of(tmp_path):
    for load, warned in ((IDLE, False), (BUSY, True)):
        made = replace(three(), load=load)
        said = f"While single queries were timed, {load}."
        text = " ".join(str(made).split())
        assert said in text
        assert (WARNING in text) == warned
        made.write_html(tmp_path / f"{warned}.html")
        page = (tmp_path / f"{warned}.html").read_text()
        assert said in page
        assert (WARNING in page) == warned
        record = json.loads(made.to_json().splitlines()[0])["load"]
        assert (record["others"], record["busy"]) == (load.others, warned)
    assert str(BUSY) == "other processes computed on 1.3 of 2 cores, load average 3.2"


def test_without_latency_there_is_no_load(compass):
    assert "single queries were timed" not in str(three())
    assert (
        0
        <= compare(compass, ["axes"], QUERIES).load.others
        <= compare(compass, ["axes"], QUERIES).load.cores
    )
    assert compare(compass, [], QUERIES, runs={"run": {"q1": {"n": 1.0}}}).load is None
