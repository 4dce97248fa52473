"""Batches: queries of a kind wait for the running batch of it, and for nothing else."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from indexes.errors import RefusedError
from retriever.service.batches import Batches


def asked(most, scenario):
    """Run a scenario of (batches, sizes, gate) whose answers wait for a gate, and upper case."""
    gate, sizes = threading.Event(), []

    def answer(queries):
        assert gate.wait(30)
        if "bad" in queries:
            raise ValueError("bad")
        return [query.upper() for query in queries]

    async def run():
        with ThreadPoolExecutor(4) as pool:
            batches = Batches(pool, most, sizes.append)
            result = await scenario(lambda *one: batches.ask(*one, answer), gate, pool)
            assert batches._kinds == {}
            return result

    return asyncio.run(run()), sizes


async def settled(futures):
    return await asyncio.gather(*futures, return_exceptions=True)


def test_what_comes_during_a_batch_is_the_next_one_up_to_the_most():
    async def scenario(ask, gate, _):
        futures = [ask("k", letter) for letter in "abcdef"]
        gate.set()
        return await settled(futures)

    assert asked(3, scenario) == (list("ABCDEF"), [1, 3, 2])


def test_kinds_do_not_wait_for_each_other():
    async def scenario(ask, gate, _):
        futures = [ask(kind, "a") for kind in range(3)]
        gate.set()
        return await settled(futures)

    assert asked(9, scenario) == (["A"] * 3, [1, 1, 1])


def test_a_query_that_fails_does_not_fail_those_next_to_it():
    async def scenario(ask, gate, _):
        futures = [ask("k", query) for query in ("a", "b", "bad", "c")]
        gate.set()
        return await settled(futures)

    (first, second, error, last), _ = asked(9, scenario)
    assert (first, second, str(error), last) == ("A", "B", "bad", "C")


def test_a_query_that_nobody_waits_for_is_not_asked():
    async def scenario(ask, gate, _):
        futures = [ask("k", letter) for letter in "abc"]
        futures[1].cancel()
        gate.set()
        return await settled([futures[0], futures[2]])

    assert asked(9, scenario) == (["A", "C"], [1, 1])


def test_a_batch_that_is_not_begun_when_the_service_stops_is_refused():
    async def scenario(ask, gate, pool):
        futures = [ask(kind, "a") for kind in range(5)]
        pool.shutdown(wait=False, cancel_futures=True)
        gate.set()
        return await settled(futures)

    answers, _ = asked(9, scenario)
    assert answers[:4] == ["A"] * 4
    with pytest.raises(RefusedError, match="stopping"):
        raise answers[4]
