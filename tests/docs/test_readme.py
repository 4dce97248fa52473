"""Tests of README.md: its Python runs, its shell session is current, its links lead somewhere."""

import re
from pathlib import Path

import pytest

from docs.session import run, session_of
from tests.support.fresh import printed_by

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text()
STRICT = "error::ResourceWarning"


def without_times(text):
    """Mask what depends on the machine: times, and which runtime is faster."""
    text = re.sub(r"\d+\.\d+ s\b", "TIME s", text)
    return re.sub(r"(?<= computes in ).*", "SOMETHING", text)


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch):
    search, compare = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (tmp_path / "search" / "notes").mkdir(parents=True)
    (tmp_path / "search" / "notes" / "cat.txt").write_text("A kitten purrs when it is content.")
    (tmp_path / "search" / "notes" / "tax.md").write_text("The filing deadline is in April.")
    (tmp_path / "compare").mkdir()
    monkeypatch.chdir(tmp_path / "search")
    first, second = printed_by(search, PYTHONWARNINGS=STRICT).splitlines()
    assert re.fullmatch(r"0\.\d{3} cat.txt A kitten purrs when it is content\.", first)
    assert second.endswith(" tax.md The filing deadline is in April.")
    monkeypatch.chdir(tmp_path / "compare")
    printed = printed_by(compare, PYTHONWARNINGS=STRICT)
    assert printed.startswith("1 0.")
    assert " cat A kitten purrs when it is content." in printed.splitlines()[0]
    assert "nDCG@10" in printed


def test_the_session_of_the_readme_is_current():
    session = session_of(README)
    assert without_times(run(session)) == without_times(session)


def test_the_session_of_the_page_on_operations_is_current():
    session = session_of((ROOT / "docs" / "operations.md").read_text())
    assert without_times(run(session)) == without_times(session)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/architecture.md"])
def test_links_between_pages_lead_somewhere(page):
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (ROOT / page).parent.joinpath(target).exists(), target
