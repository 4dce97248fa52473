"""Hooks of MkDocs: pages of the site that are files of the repository outside `docs/`.

MkDocs calls functions by these names; see `mkdocs.yml`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
# By the name of the page: the file that it is.
PAGES = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}
PICTURES = {"pictures/report.png": "benchmarks/results/scifact.png"}
# Written by cog around what it generates.
COG = re.compile(r"<!-- \[\[\[cog\n.*?\n\]\]\] -->\n|<!-- \[\[\[end\]\]\] -->\n?", re.DOTALL)


def on_files(files: Any, config: Any) -> Any:
    """Add the pages and pictures that lie elsewhere."""
    from mkdocs.structure.files import File

    for name, place in PAGES.items():
        text = (ROOT / place).read_text().replace("](docs/", "](")
        files.append(File.generated(config, name, content=text))
    for name, place in PICTURES.items():
        files.append(File.generated(config, name, abs_src_path=str(ROOT / place)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return a page whose links to those files lead to their pages, without cog's marks."""
    for name, place in PAGES.items():
        markdown = markdown.replace(f"](../{place})", f"]({name})")
    return COG.sub("", markdown)
