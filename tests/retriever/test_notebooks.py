"""Progress in a notebook's cell, and silence elsewhere."""

import sys
from types import SimpleNamespace

import pytest

from indexes.progress import ignore_progress
from retriever import notebooks
from retriever.notebooks import progress_or, progress_shown
from tests.support.toy import ANIMALS


class Cell:
    """What a cell of a notebook displays: every state of its one line."""

    def __init__(self):
        self.lines = []

    def display(self, content, *, raw, display_id):
        assert (raw, display_id, self.lines) == (True, True, [])
        self.update(content, raw=raw)
        return self

    def update(self, content, *, raw):
        self.lines.append(content["text/plain"])


@pytest.fixture
def cell(monkeypatch):
    """A cell, in a process that looks like a kernel of Jupyter."""
    made, shell = Cell(), SimpleNamespace(kernel=object())
    module = SimpleNamespace(get_ipython=lambda: shell, display=made)
    monkeypatch.setitem(sys.modules, "IPython", module)
    monkeypatch.setattr(notebooks, "EVERY_SECONDS", 0.0)
    return made


def test_what_the_caller_gives_is_used_and_nothing_is_drawn_outside_a_notebook(monkeypatch):
    assert progress_or(None, "x") is ignore_progress
    terminal = SimpleNamespace(get_ipython=lambda: SimpleNamespace())
    monkeypatch.setitem(sys.modules, "IPython", terminal)
    assert progress_or(None, "x") is ignore_progress
    assert progress_or(print, "x") is print


def test_in_a_notebook_a_line_is_replaced_and_removed_at_the_end(cell):
    progress = progress_or(None, "building x")
    progress(10, 20)
    progress(1200, 0)
    progress(20, 20)
    assert cell.lines == [f"building x [{'#' * 15}{'.' * 15}] 10 of 20", "building x 1,200", ""]


def test_short_work_displays_nothing(cell, monkeypatch):
    monkeypatch.setattr(notebooks, "EVERY_SECONDS", 1e9)
    progress = progress_or(None, "building x")
    progress(10, 20)
    progress(20, 20)
    assert cell.lines == []


def test_what_was_displayed_is_removed_after_an_error_too(cell):
    def fail():
        with progress_shown(None, "adding") as progress:
            progress(1, 0)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert cell.lines == ["adding 1", ""]


def test_long_work_in_a_notebook_shows_its_progress(cell, collection, capsys):
    collection.add(ANIMALS)
    assert cell.lines[-2:] == ["adding 3", ""]
    assert capsys.readouterr().out == ""
