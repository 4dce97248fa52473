"""A comparison as one HTML file that needs nothing else: no network, no library, no server."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from importlib.resources import files

import jinja2
import numpy as np
from markupsafe import Markup

from retriever.evaluation.results import Comparison, Row
from retriever.formats.writing import replacing
from retriever.report.headline import headline, signed, verdict
from retriever.report.html.cells import milliseconds
from retriever.report.html.explorer import explorer_json
from retriever.report.html.plots import SHAPES_KEY, Point, Strip, Words, points_plot, strips_plot
from retriever.report.html.tables import TONES, page_tables
from retriever.report.terminal.lines import label_of

SCRIPTS = ("elements.js", "differences.js", "opened.js", "explorer.js")


def write_page(comparison: Comparison, path: str | os.PathLike[str]) -> None:
    """Write the comparison as one HTML file, whole or not at all.

    Raises:
        InputError: the folder does not exist or cannot be written to.
    """
    text = page(comparison)
    with replacing(path) as file:
        file.write(text)


def page(comparison: Comparison) -> str:
    """The comparison as HTML: headline, tables, plots, and an explorer of the queries.

    The page loads nothing. Its own script and style are allowed by their checksums, so that
    nothing in a document could run even if it got past the escaping.
    """
    style = _read("style.css")
    script = "(() => {\n'use strict';\n" + "\n".join(map(_read, SCRIPTS)) + "\n})();"
    text = _template().render(
        comparison=comparison,
        headline=headline(comparison),
        facts=_facts(comparison),
        tables=page_tables(comparison),
        plots=_plots(comparison),
        shapes=SHAPES_KEY,
        measure=label_of(comparison.measures[0]) if comparison.measures else "",
        style=Markup(style),
        script=Markup(script),
        style_checksum=_checksum(style),
        script_checksum=_checksum(script),
        data=Markup(explorer_json(comparison)),
    )
    # A path or an id may hold half a surrogate pair, which no file in UTF-8 can.
    return text.encode("utf-8", "replace").decode("utf-8")


def _read(name: str) -> str:
    return (files("retriever.report") / "template" / name).read_text("utf-8").strip()


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_read("page.html.jinja"))


def _checksum(text: str) -> str:
    """How a content security policy names the text of an inline element."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _facts(comparison: Comparison) -> list[tuple[str, str]]:
    judged = "Judged queries" if comparison.judged else "Queries"
    facts = [
        ("Collection", comparison.environment.get("collection", "")),
        (judged, f"{len(comparison.queries):,}"),
        ("Systems", f"{len(comparison.rows):,}"),
        ("Hits a query", f"{comparison.k:,}"),
        ("Baseline", comparison.baseline or ""),
    ]
    return [(name, value) for name, value in facts if value]


# -- plots ----------------------------------------------------------------------------------------


def _plots(comparison: Comparison) -> dict[str, Markup]:
    """The plots by name; empty where there is nothing to draw."""
    rows = list(comparison.rows.values())
    judged = comparison.judged
    return {
        "times": _times(rows),
        "latency": _against_latency(comparison, rows) if judged else Markup(),
        "building": _against_building(comparison, rows) if judged else Markup(),
        "chance": _intervals(comparison, rows) if judged else Markup(),
    }


def _against_latency(comparison: Comparison, rows: Sequence[Row]) -> Markup:
    measure = comparison.measures[0]
    points = [
        Point(row.name, row.family, row.latency.total.p50, row.quality[measure])
        for row in rows
        if row.latency
    ]
    title = f"{label_of(measure)} against the median time of a query"
    return _points(comparison, points, "latency", title, "milliseconds a query, median, log scale")


def _against_building(comparison: Comparison, rows: Sequence[Row]) -> Markup:
    measure = comparison.measures[0]
    points = [
        Point(row.name, row.family, row.cost.building_seconds, row.quality[measure])
        for row in rows
        if row.cost
    ]
    title = f"{label_of(measure)} against the time to build"
    return _points(comparison, points, "building", title, "seconds to embed and index, log scale")


def _points(
    comparison: Comparison, points: Sequence[Point], key: str, title: str, across: str
) -> Markup:
    said = "; ".join(f"{p.name} {p.quality:.3f} at {p.cost:,.3g}" for p in points)
    pareto_front = comparison.fronts().get(key, ())
    description = f"{said}. On the front: {', '.join(pareto_front)}."
    words = Words(key, title, description, across, label_of(comparison.measures[0]))
    return points_plot(points, pareto_front, words)


def _intervals(comparison: Comparison, rows: Sequence[Row]) -> Markup:
    measure = comparison.measures[0]
    found = {row.name: row.differences[measure] for row in rows if measure in row.differences}
    strips = [
        Strip(name, signed(d.mean), TONES[verdict(d)], d.low, d.mean, d.high)
        for name, d in found.items()
    ]
    said = "; ".join(
        f"{name} {signed(d.mean)} ({signed(d.low)} to {signed(d.high)}), {verdict(d)}"
        for name, d in found.items()
    )
    label = label_of(measure)
    title = f"Difference in {label} to {comparison.baseline}, with 95 % intervals"
    return strips_plot(strips, Words("chance", title, said, f"difference in {label}"), zero=True)


def _times(rows: Sequence[Row]) -> Markup:
    strips = [
        _time_strip(
            row, np.quantile(row.latency.totals, (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)).tolist()
        )
        for row in rows
        if row.latency and row.latency.totals
    ]
    said = "; ".join(f"{s.name}: median {s.middle:.3g}, 95 % within {s.high:.3g}" for s in strips)
    title = "Milliseconds that single queries took"
    return strips_plot(strips, Words("times", title, said, "milliseconds, log scale"), log=True)


def _time_strip(row: Row, quantiles: Sequence[float]) -> Strip:
    low, lower, middle, upper, high, highest = quantiles
    value = f"{milliseconds(middle)} ms"
    return Strip(row.name, value, row.family, low, middle, high, (lower, upper), highest)
