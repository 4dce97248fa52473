"""A comparison as one self-contained HTML file."""

from __future__ import annotations

import base64
import hashlib
import os
from importlib.resources import files

import jinja2
from markupsafe import Markup

from retriever.evaluation.results import ComparisonResults
from retriever.formats.writing import atomic_writer
from retriever.report.headline import headline
from retriever.report.html.explorer import explorer_json, shown_documents
from retriever.report.html.figures import figures
from retriever.report.html.plots import SHAPES_KEY
from retriever.report.html.tables import page_tables
from retriever.report.html.thumbnails import Thumbnails
from retriever.report.lines import label_of
from retriever.report.verdict import verdict_lines

SCRIPTS = (
    *("elements.js", "tables.js", "differences.js", "scatter.js", "opened.js", "explorer.js"),
)


def write_page(comparison: ComparisonResults, path: str | os.PathLike[str]) -> None:
    """Write the comparison as one HTML file, atomically."""
    text = page(comparison)
    with atomic_writer(path) as file:
        file.write(text)


def page(comparison: ComparisonResults) -> str:
    """Return the comparison as HTML: headline, tables, plots and a query explorer.

    The page loads nothing: images are small copies within it. A content security policy allows only
    its own script and style by checksum, so nothing in a document could run even if it escaped the
    escaping.
    """
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    thumbnails = Thumbnails.of(comparison, shown_documents(comparison))
    text = environment.from_string(_read("page.html.jinja")).render(
        comparison=comparison,
        headline=headline(comparison),
        verdict=verdict_lines(comparison),
        facts=_facts(comparison),
        tables=page_tables(comparison),
        plots=figures(comparison),
        shapes=SHAPES_KEY,
        measure=label_of(comparison.measures[0]) if comparison.measures else "",
        style=Markup(_style()),
        script=Markup(_script()),
        policy=Markup(content_policy()),
        data=Markup(explorer_json(comparison, thumbnails)),
        notes=[*comparison.notes, *thumbnails.notes],
    )
    # A path or an id may hold a lone surrogate, which UTF-8 cannot encode.
    return text.encode("utf-8", "replace").decode("utf-8")


def content_policy() -> str:
    """Return the content security policy of the page: its own script and style, by checksum."""
    style, script = _checksum(_style()), _checksum(_script())
    return (
        f"default-src 'none'; style-src '{style}'; script-src '{script}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _style() -> str:
    return _read("style.css")


def _script() -> str:
    return "(() => {\n'use strict';\n" + "\n".join(map(_read, SCRIPTS)) + "\n})();"


def _read(name: str) -> str:
    return (files("retriever.report.html") / "template" / name).read_text("utf-8").strip()


def _checksum(text: str) -> str:
    """Return the source expression of an inline element in a content security policy."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _facts(comparison: ComparisonResults) -> list[tuple[str, str]]:
    judged = "Judged queries" if comparison.judged else "Queries"
    facts = [
        ("Collection", comparison.environment.get("collection", "")),
        (judged, f"{len(comparison.queries):,}"),
        ("Systems", f"{len(comparison.rows):,}"),
        ("Hits a query", f"{comparison.k:,}"),
        ("Baseline", comparison.baseline or ""),
    ]
    return [(name, value) for name, value in facts if value]
