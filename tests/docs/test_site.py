"""The site of the docs: built without a warning, every page in it, all of it its own."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mkdocs", reason="the extra docs is not installed")

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", folder]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_page_is_in_the_site_and_in_its_navigation(site):
    home = (site / "index.html").read_text()
    for page in ROOT.glob("docs/*.md"):
        assert (site / f"{page.stem}.html").is_file(), page
        assert f'href="{page.stem}.html"' in home or page.stem == "index", page


def test_the_reference_has_methods_with_their_docstrings(site):
    reference = (site / "reference.html").read_text()
    assert 'id="retriever.collection.Collection.build"' in reference
    assert "only documents that it lacks are embedded" in reference


def test_nothing_is_fetched_from_another_host(site):
    loaded = re.compile(r'<(?:script|link|img)[^>]+(?:src|href)="?(https?://[^">]+)')
    found = {url for page in site.glob("*.html") for url in loaded.findall(page.read_text())}
    assert found == set()


def test_sources_and_marks_of_generators_are_left_out(site):
    assert list(site.rglob("*.py")) == []
    assert "cog.outl" not in (site / "which.html").read_text()
