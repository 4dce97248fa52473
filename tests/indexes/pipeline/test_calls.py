"""Calls of a function by workers: in order, whoever dies on the way."""

import pytest

from indexes.errors import InputError, WorkerError
from indexes.pipeline.calls import mapped
from indexes.pipeline.executors.inline import InlineExecutor
from indexes.pipeline.executors.processes import ProcessExecutor
from tests.support.workers import Doubling, Elsewhere


def doubled(executor, load, numbers):
    return list(mapped(executor, load, iter(numbers), what="the numbers", most=len(numbers)))


def test_results_come_in_the_order_of_the_arguments(tmp_path):
    for executor in (InlineExecutor(), Elsewhere()):
        assert doubled(executor, Doubling(tmp_path), [1, 2, 3, 4, 6]) == [2, 4, 6, 8, 12]
        assert doubled(executor, Doubling(tmp_path), []) == []
        with pytest.raises(InputError, match="7 cannot be doubled"):
            doubled(executor, Doubling(tmp_path), [6, 7])


def test_arguments_are_drawn_one_by_one(tmp_path):
    drawn = []
    numbers = (drawn.append(n) or n for n in range(5))
    results = mapped(InlineExecutor(), Doubling(tmp_path), numbers, what="the numbers", most=5)
    assert [next(results), next(results)] == [0, 2]
    results.close()
    assert drawn == [0, 1]


@pytest.mark.exhaustive
def test_a_call_of_a_killed_worker_is_made_by_another(tmp_path):
    numbers = [1, 2, 3, 4, 5, 6]
    assert doubled(ProcessExecutor(2), Doubling(tmp_path, times=1), numbers) == [
        2 * number for number in numbers
    ]
    assert len(list(tmp_path.glob("died-*"))) == 1
    with pytest.raises(WorkerError, match="died of part 5 of the numbers .*SIGKILL"):
        doubled(ProcessExecutor(2), Doubling(tmp_path, times=99), numbers)
    with pytest.raises(InputError, match="7 cannot be doubled"):
        doubled(ProcessExecutor(2), Doubling(tmp_path), [6, 7])
