"""Progress of long work where stderr is no terminal."""

import pytest

from retriever.cli import output
from retriever.cli.output import progress_bar


@pytest.fixture
def clock(monkeypatch):
    """Replace the clock by one that the test moves."""
    now = [0.0]
    monkeypatch.setattr(output, "monotonic", lambda: now[0])
    return now


def test_a_line_a_minute_where_stderr_is_no_terminal(clock, capsys):
    with progress_bar("encoding") as progress:
        for clock[0] in (1.0, 59.0, 61.0, 100.0, 125.0):
            progress(int(clock[0]), 2_000)
        clock[0] = 300.0
        progress(300, 0)
    assert capsys.readouterr().err.splitlines() == [
        "encoding: 61 of 2,000",
        "encoding: 125 of 2,000",
        "encoding: 300",
    ]


def test_no_line_with_progress_switched_off(clock, capsys, monkeypatch):
    monkeypatch.setattr(output, "setting", lambda name, default: False)
    with progress_bar("encoding") as progress:
        clock[0] = 100.0
        progress(1, 2)
    assert capsys.readouterr().err == ""
