"""Tests of the pages: their Python runs, their shell sessions are current, their links lead on."""

import re
from pathlib import Path

import pytest

from docs.session import PAGES, renewed
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


@pytest.mark.parametrize("name", PAGES)
def test_the_sessions_of_a_page_are_current(name):
    page = (ROOT / name).read_text()
    assert without_times(renewed(page)) == without_times(page)


EVERY_PAGE = ["README.md", "CONTRIBUTING.md", *(f"docs/{p.name}" for p in ROOT.glob("docs/*.md"))]
# Pages of the site that are made from files elsewhere.
ELSEWHERE = {"pictures/report.png"}


@pytest.mark.parametrize("page", sorted(EVERY_PAGE))
def test_links_between_pages_lead_somewhere(page):
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        is_there = (ROOT / page).parent.joinpath(target).exists() or target in ELSEWHERE
        assert is_there or target.startswith("https://"), target
