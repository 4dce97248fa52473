"""A child that imports Retriever first, where the system does not say that it was forked."""

import multiprocessing
from pathlib import Path

import pytest

from indexes.storage import forking


def answer(queue):
    # As in a process that imports the module itself, not on Linux.
    forking._PROCESS = forking.os.getpid()
    Path.read_text = refuse
    queue.put(forking._is_child())


def refuse(*_):
    raise FileNotFoundError


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing_tells_whether_it_has_forked_a_child(method):
    context = multiprocessing.get_context(method)
    queue = context.SimpleQueue()
    child = context.Process(target=answer, args=(queue,))
    child.start()
    assert queue.get() is (method == "fork")
    child.join()


def test_no_other_process_is_taken_for_a_child(monkeypatch):
    monkeypatch.setattr(Path, "read_text", refuse)
    assert not forking._is_child()
