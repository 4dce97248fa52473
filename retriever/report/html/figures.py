"""The plots of a comparison, as drawings in SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup

from retriever.evaluation.depths import quality_by_depth
from retriever.evaluation.results import ComparisonResults, Row
from retriever.formatting import decimals
from retriever.report.headline import signed, verdict
from retriever.report.html.cells import TONES
from retriever.report.html.curves import Curve, curves_plot
from retriever.report.html.drawing import PlotTexts
from retriever.report.html.plots import Point, Strip, points_plot, strips_plot
from retriever.report.html.scatter import scatter_plot
from retriever.report.lines import label_of

AGAINST = {"latency": "the time of a query", "building": "the time to build"}


def figures(comparison: ComparisonResults) -> dict[str, Markup]:
    """Return the plots by name, each for narrow and wide screens; empty where there is no data."""
    rows = list(comparison.rows.values())
    times = {row.name: row.query_ms for row in rows if row.latency}
    building = {row.name: row.cost.building_seconds for row in rows if row.cost}
    return {
        "times": _times(rows),
        "latency": _points(comparison, times, "latency", "milliseconds a query"),
        "building": _points(comparison, building, "building", "seconds to embed and index"),
        "chance": _intervals(comparison, rows),
        "depth": _depths(comparison),
    }


def scatters(comparison: ComparisonResults) -> dict[str, Markup]:
    """Return plots of the queries, of each system against the baseline, by the system's name.

    Without a baseline, of the pair that the page shows first. Empty without judgments.
    """
    pair = comparison.default_pair() if comparison.judged else None
    against = comparison.baseline or (pair and pair[0])
    if not against:
        return {}
    names = [name for name in comparison.rows if name != against]
    if comparison.baseline is None and pair:
        names = [pair[1]]
    return {name: _scatter(comparison, against, name) for name in names}


def _scatter(comparison: ComparisonResults, against: str, name: str) -> Markup:
    measure = comparison.measures[0]
    found, other = (comparison.per_query[one][measure] for one in (against, name))
    pairs = [(found[query], other[query]) for query in found]
    above, below = (sum(sign * (b - a) > 0 for a, b in pairs) for sign in (1, -1))
    label = label_of(measure)
    said = f"{name} is better on {above:,} of {len(pairs):,} queries, and worse on {below:,}."
    title = f"{label} of {name} against {against}, query by query"
    across, upwards = (f"{label} of {one}" for one in (against, name))
    texts = PlotTexts("queries", title, said, across, upwards)
    return scatter_plot(pairs, texts)


def _points(
    comparison: ComparisonResults, costs: Mapping[str, float], key: str, across: str
) -> Markup:
    if not comparison.judged:
        return Markup()
    measure = comparison.measures[0]
    rows = [comparison.rows[name] for name in costs]
    points = [Point(r.name, r.family, costs[r.name], r.quality[measure]) for r in rows]
    said = "; ".join(f"{p.name} {p.quality:.3f} at {p.cost:,.3g}" for p in points)
    pareto_front = comparison.fronts().get(key, ())
    description = f"{said}. Pareto front: {', '.join(pareto_front)}."
    label = label_of(measure)
    texts = PlotTexts(
        key, f"{label} against {AGAINST[key]}", description, f"{across}, log scale", label
    )
    return points_plot(points, pareto_front, texts)


def _intervals(comparison: ComparisonResults, rows: Sequence[Row]) -> Markup:
    if not comparison.judged:
        return Markup()
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
    return strips_plot(
        strips, PlotTexts("chance", title, said, f"difference in {label}"), zero=True
    )


def _times(rows: Sequence[Row]) -> Markup:
    timed = [(row, row.latency.totals) for row in rows if row.latency]
    strips = [_time_strip(row, totals) for row, totals in timed if totals]
    said = "; ".join(f"{s.name}: median {s.middle:.3g}, 95 % within {s.high:.3g}" for s in strips)
    title = "Milliseconds that single queries took"
    return strips_plot(strips, PlotTexts("times", title, said, "milliseconds, log scale"), log=True)


def _time_strip(row: Row, totals: Sequence[float]) -> Strip:
    quantiles = np.quantile(totals, (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)).tolist()
    low, lower, middle, upper, high, highest = quantiles
    value = f"{decimals(2)(middle)} ms"
    return Strip(row.name, value, row.family, low, middle, high, (lower, upper), highest)


def _depths(comparison: ComparisonResults) -> Markup:
    found = quality_by_depth(comparison)
    if found is None:
        return Markup()
    label = label_of(found.family)
    curves = [
        Curve(row.name, row.family, found.values[row.name]) for row in comparison.rows.values()
    ]
    last = found.cutoffs[-1]
    said = "; ".join(f"{one.name} {one.values[-1]:.3f}" for one in curves)
    texts = PlotTexts(
        "depth",
        f"{label}@k by the number of hits k",
        f"At k = {last}: {said}.",
        "hits k, log scale",
        f"{label}@k",
    )
    return curves_plot(found.cutoffs, curves, texts)
