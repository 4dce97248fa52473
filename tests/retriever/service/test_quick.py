"""Searches that take no time are answered by the event loop, and plain bodies without FastAPI."""

import json
import threading
from itertools import chain, repeat
from types import SimpleNamespace

from hypothesis import example, given
from hypothesis import strategies as st

from retriever.service import quick
from retriever.service.quick import BRIEF, PROVEN, QUICK, STALL, QuickSearches, Shape
from retriever.service.routes import search as route
from tests.support.services.clients import TOKEN

SHAPE, OTHER = Shape("docs", "floor", "text"), Shape("docs", "floor", "vector")
LOOP = {"query": "a river bank", "indexes": ["floor"]}


def taking(monkeypatch, *seconds, clock=None):
    """Have searches take so long, one after the other, and the further ones as long as the last.

    `clock` are the seconds by the clock, which else are those of computing.
    """

    def ticks(lengths):
        endless = chain(lengths, repeat(lengths[-1]))
        return chain.from_iterable((0.0, one) for one in endless).__next__

    times = SimpleNamespace(thread_time=ticks(seconds), perf_counter=ticks(clock or seconds))
    monkeypatch.setattr(quick, "time", times)


def prove(searches, shape=SHAPE, times=PROVEN):
    for _ in range(times):
        searches.timed(shape, bool)()


def test_a_shape_is_quick_after_some_quick_searches(monkeypatch):
    taking(monkeypatch, QUICK / 2)
    searches = QuickSearches()
    prove(searches, times=PROVEN - 1)
    assert not searches.are_quick(SHAPE)
    prove(searches, times=1)
    assert searches.are_quick(SHAPE)
    assert not searches.are_quick(OTHER)


def test_a_slow_search_takes_the_proof_away(monkeypatch):
    taking(monkeypatch, *[QUICK / 2] * PROVEN, QUICK * 2)
    searches = QuickSearches()
    prove(searches)
    searches.timed(SHAPE, bool)()
    assert not searches.are_quick(SHAPE)


def test_searches_that_wait_for_a_server_are_not_quick(monkeypatch):
    taking(monkeypatch, QUICK / 10, clock=[BRIEF * 2])
    searches = QuickSearches()
    prove(searches, times=PROVEN * 2)
    assert not searches.are_quick(SHAPE)


def test_searches_that_waited_for_each_other_are_quick_if_one_did_not(monkeypatch):
    taking(monkeypatch, QUICK / 2, clock=[STALL, BRIEF / 2, STALL])
    searches = QuickSearches()
    prove(searches)
    assert searches.are_quick(SHAPE)


def test_a_search_that_keeps_the_loop_sends_the_next_ones_to_threads(monkeypatch):
    taking(monkeypatch, QUICK / 2, clock=[*[QUICK / 2] * PROVEN, STALL / 2, STALL * 2])
    searches = QuickSearches()
    prove(searches)
    assert searches.here(SHAPE, lambda: "found") == "found"
    assert searches.are_quick(SHAPE)
    searches.here(SHAPE, bool)
    assert not searches.are_quick(SHAPE)


def test_a_changed_collection_sends_searches_to_threads(monkeypatch):
    taking(monkeypatch, QUICK / 2)
    searches = QuickSearches()
    prove(searches)
    assert searches.here(SHAPE, lambda: None) is None
    assert not searches.are_quick(SHAPE)


def test_quick_searches_leave_the_threads_until_the_collection_changes(writer, monkeypatch):
    threads, answers = [], route._answers

    def noted(*given):
        threads.append(threading.current_thread().name.startswith("retriever-answer"))
        return answers(*given)

    taking(monkeypatch, 0.0)
    monkeypatch.setattr(route, "_answers", noted)
    head = {"Authorization": f"Bearer {TOKEN}"}
    found = [writer.post("/search", json=LOOP, headers=head).json() for _ in range(PROVEN + 2)]
    assert threads == [True] * PROVEN + [False] * 2
    assert found == [found[0]] * len(found)
    added = {"documents": [{"doc_id": "new", "text": "a river bank"}]}
    assert writer.post("/documents", json=added, headers=head).status_code == 200
    writer.post("/search", json=LOOP, headers=head)
    assert threads[-1]


def test_a_search_that_may_take_any_time_has_a_thread(writer, monkeypatch):
    names, answers = [], route._answers

    def noted(*given):
        names.append(threading.current_thread().name)
        return answers(*given)

    taking(monkeypatch, 0.0)
    monkeypatch.setattr(route, "_answers", noted)
    head = {"Authorization": f"Bearer {TOKEN}"}
    for more in ({"where": "year > 1"}, {"highlights": True}, {"mmr": 0.5}, {"k": 500}):
        for _ in range(PROVEN + 2):
            assert writer.post("/search", json=LOOP | more, headers=head).status_code == 200
    assert all(name.startswith("retriever-answer") for name in names)


FIELDS = st.dictionaries(
    st.sampled_from(("query", "vector", "indexes", "k", "where", "text", "like", "mmr", "odd")),
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.lists(st.floats() | st.text(), max_size=3),
)
BODIES = FIELDS.map(json.dumps) | st.text() | st.just('{"query": "bank"}')


@example(sent='{"query": "\\ud800"}')
@example(sent='{"query": "a", "query": "b"}')
@example(sent='{"vector": [NaN]}')
@example(sent='{"k": 1e0, "query": "bank"}')
@example(sent='{"k": 10000000000000000000000, "query": "bank"}')
@example(sent="[" * 5_000)
@example(sent="")
@given(sent=BODIES)
def test_a_body_is_read_alike_with_and_without_fastapi(client, sent):
    """Law: the answer is the same, whether the header has the body read by us or by FastAPI."""
    content = sent.encode("utf-8", "surrogatepass")
    answers = [
        client.post("/search", content=content, headers={"Content-Type": kind})
        for kind in ("application/json", "application/json; charset=utf-8")
    ]
    assert answers[0].status_code == answers[1].status_code
    assert answers[0].text == answers[1].text
