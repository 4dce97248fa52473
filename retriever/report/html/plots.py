"""Plots in SVG, styled by the page: points with a Pareto front, and rows of strips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from retriever.report.html.drawing import (
    BOTTOM,
    INSET,
    LEFT,
    RIGHT,
    TOP,
    PlotTexts,
    across_axis,
    for_screens,
    px,
    rule,
    tag,
    up_axis,
    words,
)
from retriever.report.html.plot_labels import Box, cut, place, text_width
from retriever.report.html.scales import Scale

ROW = 38
STRIPS_TOP = 4
# Space between the values of strips and their frame.
GAP = 10
SHAPES = {
    "static": "M-5,0C-5,2.76 -2.76,5 0,5C2.76,5 5,2.76 5,0C5,-2.76 2.76,-5 0,-5"
    "C-2.76,-5 -5,-2.76 -5,0Z",
    "contextual": "M-4.6,-4.6H4.6V4.6H-4.6Z",
    "lexical": "M0,-5.8L5.6,4.4H-5.6Z",
    "combined": "M0,-6.4L6.4,0L0,6.4L-6.4,0Z",
}
SHAPES_KEY = (
    "Circle: static. Square: contextual. Triangle: lexical. Diamond: combined. Cross: other."
)
OTHER_SHAPE = "M-2,-6H2V-2H6V2H2V6H-2V2H-6V-2H-2Z"


@dataclass(frozen=True)
class Point:
    """A system in a plot, with its cost on the x axis and its quality on the y axis."""

    name: str
    family: str
    cost: float
    quality: float


@dataclass(frozen=True)
class Strip:
    """A row of a plot: a thin line from `low` to `high`, a dot at `middle`, the value as text.

    `box` is a thicker part of the line, `tick` one more mark; `tone` names the color.
    """

    name: str
    value: str
    tone: str
    low: float
    middle: float
    high: float
    box: tuple[float, float] | None = None
    tick: float | None = None


def points_plot(points: Sequence[Point], pareto_front: Sequence[str], texts: PlotTexts) -> Markup:
    """Plot quality against cost on a log scale, with a line through `pareto_front`, cheapest first.

    Empty without points. A label without space is omitted; the point still has its tooltip.
    """
    if not points:
        return Markup()
    return for_screens(lambda width: _points(points, pareto_front, texts, width), texts)


def strips_plot(
    strips: Sequence[Strip], texts: PlotTexts, *, log: bool = False, zero: bool = False
) -> Markup:
    """Plot one strip per row over a common axis, with zero marked if `zero`; empty without any."""
    if not strips:
        return Markup()
    return for_screens(lambda width: _strips(strips, texts, width, log, zero), texts)


def _points(
    points: Sequence[Point], pareto_front: Sequence[str], texts: PlotTexts, width: int
) -> tuple[Markup, int]:
    height = round(width * 0.62) + 60
    frame = Box(LEFT, TOP, width - RIGHT, height - BOTTOM)
    x = Scale.over([p.cost for p in points], frame.left + INSET, frame.right - INSET, log=True)
    y = Scale.over([p.quality for p in points], frame.bottom - INSET, frame.top + INSET)
    at = {p.name: (x(p.cost), y(p.quality)) for p in points}
    corners = [at[name] for name in pareto_front if name in at]
    return Markup().join(
        [
            across_axis(x, frame, texts.across),
            up_axis(y, frame, texts.upwards),
            _front(corners, frame),
            _labels(points, at, pareto_front, frame, _steps(corners, frame)),
            *(_marker(point, *at[point.name], on=point.name in pareto_front) for point in points),
        ]
    ), height


def _front(corners: Sequence[tuple[float, float]], frame: Box) -> Markup:
    """Draw the best quality available at each cost, as steps up to the next better system."""
    if not corners:
        return Markup()
    path = f"M{px(corners[0][0])},{px(corners[0][1])}"
    for _, (right, up) in pairwise(corners):
        path += f"H{px(right)}V{px(up)}"
    path += f"H{px(frame.right)}"
    under = f"{path}V{px(frame.bottom)}H{px(corners[0][0])}Z"
    return tag("path", d=under, class_="beaten") + tag("path", d=path, class_="front")


def _steps(corners: Sequence[tuple[float, float]], frame: Box) -> list[Box]:
    """Return the straight parts of the front's line, as boxes without an area."""
    boxes = []
    for (left, low), (right, up) in pairwise(corners):
        boxes += [Box(left, low, right, low), Box(right, up, right, low)]
    return [*boxes, *(Box(x, y, frame.right, y) for x, y in corners[-1:])]


def _marker(point: Point, x: float, y: float, *, on: bool) -> Markup:
    tip = f"{point.name}: {point.quality:.4f} at {point.cost:,.3g}"
    return tag(
        "path",
        tag("title", tip),
        d=SHAPES.get(point.family, OTHER_SHAPE),
        transform=f"translate({px(x)},{px(y)})",
        class_=f"point {'on' if on else 'off'} tone-{point.family}",
        data_name=point.name,
    )


def _labels(
    points: Sequence[Point],
    at: dict[str, tuple[float, float]],
    pareto_front: Sequence[str],
    frame: Box,
    lines: Sequence[Box],
) -> Markup:
    width = frame.right + RIGHT
    # Labels on the front are placed first.
    points = sorted(points, key=lambda point: point.name not in pareto_front)
    texts = [cut(point.name, 0.45 * width) for point in points]
    labels = [(at[p.name], text) for p, text in zip(points, texts, strict=True)]
    places = place(labels, frame, lines)
    parts = []
    for point, text, spot in zip(points, texts, places, strict=True):
        if spot is None:
            continue
        box = spot.box
        if spot.leader:
            (x, y), (end_x, end_y) = spot.leader
            parts.append(rule(x, y, end_x, end_y, "leader"))
        start = box.right if spot.anchor == "end" else box.left
        name = "label on" if point.name in pareto_front else "label"
        parts.append(words(text, start, box.bottom - 4, name, spot.anchor))
    return Markup().join(parts)


def _strips(
    strips: Sequence[Strip], texts: PlotTexts, width: int, log: bool, zero: bool
) -> tuple[Markup, int]:
    height = STRIPS_TOP + ROW * len(strips) + BOTTOM
    # The values have a column of their own: above their lines, they would be read as places on
    # the axis.
    column = max(text_width(strip.value) for strip in strips) + GAP
    frame = Box(RIGHT, STRIPS_TOP, width - RIGHT - column, height - BOTTOM)
    ends = [value for s in strips for value in (s.low, s.high, s.tick or s.high)]
    x = Scale.over([*ends, 0.0] if zero else ends, frame.left + INSET, frame.right - INSET, log=log)
    parts = [across_axis(x, frame, texts.across)]
    if zero:
        parts.append(rule(x(0), frame.top, x(0), frame.bottom, "zero"))
    parts += [
        _strip(s, x, frame, frame.top + ROW * row, width - RIGHT) for row, s in enumerate(strips)
    ]
    return Markup().join(parts), height


def _strip(strip: Strip, x: Scale, frame: Box, top: float, right: float) -> Markup:
    space = frame.right - frame.left - 4
    y = top + 26
    parts = [
        words(cut(strip.name, space), frame.left + 2, top + 15, "label on", "start"),
        words(strip.value, right, y + 4, "value", "end"),
        rule(x(strip.low), y, x(strip.high), y, f"thin tone-{strip.tone}"),
    ]
    if strip.box:
        parts.append(rule(x(strip.box[0]), y, x(strip.box[1]), y, f"thick tone-{strip.tone}"))
    if strip.tick is not None:
        parts.append(rule(x(strip.tick), y - 4, x(strip.tick), y + 4, f"thin tone-{strip.tone}"))
    dot = tag("circle", cx=px(x(strip.middle)), cy=px(y), r=4.5, class_=f"dot tone-{strip.tone}")
    return Markup().join([*parts, dot])
