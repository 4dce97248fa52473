"""Tests of docs/search.md: its Python runs, and its options exist."""

import re
from pathlib import Path

from retriever.cli.search import search
from tests.support.fresh import printed_by

PAGE = (Path(__file__).parent.parent.parent / "docs" / "search.md").read_text()


def test_the_python_of_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert printed_by(code, PYTHONWARNINGS="error::ResourceWarning") == "cat\n"


def test_the_options_of_searches_on_the_page_exist():
    known = {name for one in search.params for name in one.opts}
    commands = re.findall(r"^retriever search .*", PAGE, re.MULTILINE)
    assert commands
    assert {word for line in commands for word in re.findall(r" (-[\w-]+)", line)} <= known
