"""Progress in a notebook's cell, and silence elsewhere."""

import sys
from types import SimpleNamespace

import pytest

from indexes.progress import ignore_progress
from retriever import notebooks
from retriever.notebooks import progress_or, progress_shown
from tests.support.toy import ANIMALS


@pytest.fixture
def kernel(monkeypatch):
    """A process that looks like a kernel of Jupyter."""
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setattr(notebooks, "EVERY_SECONDS", 0.0)


def test_what_the_caller_gives_is_used_and_nothing_is_drawn_outside_a_notebook(monkeypatch):
    assert progress_or(None, "x") is ignore_progress
    terminal = SimpleNamespace(get_ipython=lambda: SimpleNamespace())
    monkeypatch.setitem(sys.modules, "IPython", terminal)
    assert progress_or(None, "x") is ignore_progress
    given = print
    assert progress_or(given, "x") is given


def test_in_a_notebook_a_line_is_drawn_in_place_and_removed_at_the_end(kernel, capsys):
    progress = progress_or(None, "building x")
    progress(10, 20)
    progress(12, 0)
    progress(20, 20)
    first, second, last, end = capsys.readouterr().out.removeprefix("\r").split("\r")
    assert first == f"building x [{'#' * 15}{'.' * 15}] 10 of 20"
    assert second.rstrip() == "building x 12"
    assert len(second) == len(first)
    assert (last.strip(), end) == ("", "")


def test_what_was_drawn_is_removed_after_an_error_too(kernel, capsys):
    def fail():
        with progress_shown(None, "adding") as progress:
            progress(1, 0)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert capsys.readouterr().out == f"\radding 1\r{' ' * 8}\r"


def test_long_work_in_a_notebook_shows_its_progress(kernel, collection, capsys):
    collection.add(ANIMALS)
    out = capsys.readouterr().out
    assert "\radding 3" in out
    assert out.endswith("\r")
