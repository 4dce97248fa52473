"""The README's Python runs, and its shell session prints what it says, times and rates aside."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs.session import run, session_of

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text()


def without_times(text):
    """Without what depends on the machine: times, and which runtime is faster."""
    text = re.sub(r"\d+\.\d+ s\b", "TIME s", text)
    return re.sub(r"(?<= computes in ).*", "SOMETHING", text)


def test_the_python_of_the_readme_runs(tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 0.")
    assert " cat A kitten purrs when it is content." in done.stdout.splitlines()[0]
    assert "nDCG@10" in done.stdout


def test_the_session_of_the_readme_prints_what_it_says():
    session = session_of(README)
    assert without_times(run(session)) == without_times(session)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/architecture.md"])
def test_links_between_pages_lead_somewhere(page):
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (ROOT / page).parent.joinpath(target).exists(), target


def test_every_module_is_drawn_in_the_architecture():
    page = (ROOT / "docs" / "architecture.md").read_text()
    for folder in ("indexes", "retriever", "retriever/embedders"):
        for path in (ROOT / folder).glob("[a-z]*.py"):
            assert re.search(rf"\b{path.stem}\b", page), path
