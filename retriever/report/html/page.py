"""A comparison as one self-contained HTML file."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping, Sequence
from importlib.resources import files

import jinja2
import numpy as np
from markupsafe import Markup

from retriever.evaluation.results import ComparisonResults, Row
from retriever.formats.writing import atomic_writer
from retriever.formatting import milliseconds
from retriever.report.headline import headline, signed, verdict
from retriever.report.html import plots
from retriever.report.html.explorer import explorer_json, shown_documents
from retriever.report.html.tables import TONES, page_tables
from retriever.report.html.thumbnails import Thumbnails
from retriever.report.lines import label_of

AGAINST = {"latency": "the median time of a query", "building": "the time to build"}
SCRIPTS = ("elements.js", "differences.js", "opened.js", "explorer.js")


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
    style = _read("style.css")
    script = "(() => {\n'use strict';\n" + "\n".join(map(_read, SCRIPTS)) + "\n})();"
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    thumbnails = Thumbnails.of(comparison, shown_documents(comparison))
    text = environment.from_string(_read("page.html.jinja")).render(
        comparison=comparison,
        headline=headline(comparison),
        facts=_facts(comparison),
        tables=page_tables(comparison),
        plots=_plots(comparison),
        shapes=plots.SHAPES_KEY,
        measure=label_of(comparison.measures[0]) if comparison.measures else "",
        style=Markup(style),
        script=Markup(script),
        style_checksum=_checksum(style),
        script_checksum=_checksum(script),
        data=Markup(explorer_json(comparison, thumbnails)),
        notes=[*comparison.notes, *thumbnails.notes],
    )
    # A path or an id may hold a lone surrogate, which UTF-8 cannot encode.
    return text.encode("utf-8", "replace").decode("utf-8")


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


def _plots(comparison: ComparisonResults) -> dict[str, Markup]:
    """Return the plots by name; empty Markup where there is no data."""
    rows = list(comparison.rows.values())
    times = {row.name: row.latency.total.p50 for row in rows if row.latency}
    building = {row.name: row.cost.building_seconds for row in rows if row.cost}
    return {
        "times": _times(rows),
        "latency": _points(comparison, times, "latency", "milliseconds a query, median"),
        "building": _points(comparison, building, "building", "seconds to embed and index"),
        "chance": _intervals(comparison, rows),
    }


def _points(
    comparison: ComparisonResults, costs: Mapping[str, float], key: str, across: str
) -> Markup:
    if not comparison.judged:
        return Markup()
    measure = comparison.measures[0]
    rows = [comparison.rows[name] for name in costs]
    points = [plots.Point(r.name, r.family, costs[r.name], r.quality[measure]) for r in rows]
    said = "; ".join(f"{p.name} {p.quality:.3f} at {p.cost:,.3g}" for p in points)
    pareto_front = comparison.fronts().get(key, ())
    description = f"{said}. On the front: {', '.join(pareto_front)}."
    label = label_of(measure)
    texts = plots.PlotTexts(
        key, f"{label} against {AGAINST[key]}", description, f"{across}, log scale", label
    )
    return plots.points_plot(points, pareto_front, texts)


def _intervals(comparison: ComparisonResults, rows: Sequence[Row]) -> Markup:
    if not comparison.judged:
        return Markup()
    measure = comparison.measures[0]
    found = {row.name: row.differences[measure] for row in rows if measure in row.differences}
    strips = [
        plots.Strip(name, signed(d.mean), TONES[verdict(d)], d.low, d.mean, d.high)
        for name, d in found.items()
    ]
    said = "; ".join(
        f"{name} {signed(d.mean)} ({signed(d.low)} to {signed(d.high)}), {verdict(d)}"
        for name, d in found.items()
    )
    label = label_of(measure)
    title = f"Difference in {label} to {comparison.baseline}, with 95 % intervals"
    return plots.strips_plot(
        strips, plots.PlotTexts("chance", title, said, f"difference in {label}"), zero=True
    )


def _times(rows: Sequence[Row]) -> Markup:
    timed = [(row, row.latency.totals) for row in rows if row.latency]
    strips = [_time_strip(row, totals) for row, totals in timed if totals]
    said = "; ".join(f"{s.name}: median {s.middle:.3g}, 95 % within {s.high:.3g}" for s in strips)
    title = "Milliseconds that single queries took"
    return plots.strips_plot(
        strips, plots.PlotTexts("times", title, said, "milliseconds, log scale"), log=True
    )


def _time_strip(row: Row, totals: Sequence[float]) -> plots.Strip:
    quantiles = np.quantile(totals, (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)).tolist()
    low, lower, middle, upper, high, highest = quantiles
    value = f"{milliseconds(middle)} ms"
    return plots.Strip(row.name, value, row.family, low, middle, high, (lower, upper), highest)
