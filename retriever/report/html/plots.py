"""SVG plots styled by the page: points with a Pareto front, and rows of strips.

Every plot is drawn for narrow and for wide screens, so that text keeps its size; the page shows the
one that fits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup, escape

from retriever.report.html.plot_labels import Box, cut, place, text_width
from retriever.report.html.scales import Scale

# The class of each drawing, and its width in pixels.
DRAWINGS = {"narrow": 320, "wide": 520}
LEFT, RIGHT, TOP, BOTTOM = 40, 8, 26, 44
# Distance of the outermost values from the frame.
INSET = 24
ROW = 38
STRIPS_TOP = 4
# From this distance on, a line connects a point and its label.
LEADER = 24
SHAPES = {
    "static": "M-5,0a5,5 0 1,0 10,0a5,5 0 1,0 -10,0Z",
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


@dataclass(frozen=True)
class PlotTexts:
    """Texts of a plot: its title, its description for screen readers, and its axis labels."""

    key: str
    title: str
    description: str
    across: str
    upwards: str = ""


def points_plot(points: Sequence[Point], pareto_front: Sequence[str], texts: PlotTexts) -> Markup:
    """Plot quality against cost on a log scale, with a line through `pareto_front`, cheapest first.

    Empty without points. A label without space is omitted; the point still has its tooltip.
    """
    if not points:
        return Markup()
    return _both(lambda width: _points(points, pareto_front, texts, width), texts)


def strips_plot(
    strips: Sequence[Strip], texts: PlotTexts, *, log: bool = False, zero: bool = False
) -> Markup:
    """Plot one strip per row over a common axis, with zero marked if `zero`; empty without any."""
    if not strips:
        return Markup()
    return _both(lambda width: _strips(strips, texts, width, log, zero), texts)


def _points(
    points: Sequence[Point], pareto_front: Sequence[str], texts: PlotTexts, width: int
) -> tuple[Markup, int]:
    height = round(width * 0.62) + 60
    frame = Box(LEFT, TOP, width - RIGHT, height - BOTTOM)
    x = Scale.over([p.cost for p in points], frame.left + INSET, frame.right - INSET, log=True)
    y = Scale.over([p.quality for p in points], frame.bottom - INSET, frame.top + INSET)
    at = {p.name: (x(p.cost), y(p.quality)) for p in points}
    return Markup().join(
        [
            _across(x, frame, texts.across),
            _upwards(y, frame, texts.upwards),
            _front([at[name] for name in pareto_front if name in at], frame),
            _labels(points, at, pareto_front, frame, width),
            *(_marker(point, *at[point.name], on=point.name in pareto_front) for point in points),
        ]
    ), height


def _front(corners: Sequence[tuple[float, float]], frame: Box) -> Markup:
    """Draw the best quality available at each cost, as steps up to the next better system."""
    if not corners:
        return Markup()
    path = f"M{_n(corners[0][0])},{_n(corners[0][1])}"
    for _, (right, up) in pairwise(corners):
        path += f"H{_n(right)}V{_n(up)}"
    path += f"H{_n(frame.right)}"
    under = f"{path}V{_n(frame.bottom)}H{_n(corners[0][0])}Z"
    return _tag("path", d=under, class_="beaten") + _tag("path", d=path, class_="front")


def _marker(point: Point, x: float, y: float, *, on: bool) -> Markup:
    tip = f"{point.name}: {point.quality:.4f} at {point.cost:,.3g}"
    return _tag(
        "path",
        _tag("title", tip),
        d=SHAPES.get(point.family, OTHER_SHAPE),
        transform=f"translate({_n(x)},{_n(y)})",
        class_=f"point {'on' if on else 'off'} tone-{point.family}",
        data_name=point.name,
    )


def _labels(
    points: Sequence[Point],
    at: dict[str, tuple[float, float]],
    pareto_front: Sequence[str],
    frame: Box,
    width: int,
) -> Markup:
    # Labels on the front are placed first.
    points = sorted(points, key=lambda point: point.name not in pareto_front)
    texts = [cut(point.name, 0.45 * width) for point in points]
    places = place([(at[p.name], text) for p, text in zip(points, texts, strict=True)], frame)
    parts = []
    for point, text, spot in zip(points, texts, places, strict=True):
        if spot is None:
            continue
        (x, y), box = at[point.name], spot.box
        if spot.distance >= LEADER:
            end = min(max(x, box.left), box.right), min(max(y, box.top), box.bottom)
            parts.append(_line(x, y, *end, "leader"))
        start = box.right if spot.anchor == "end" else box.left
        name = "label on" if point.name in pareto_front else "label"
        parts.append(_text(text, start, box.bottom - 4, name, spot.anchor))
    return Markup().join(parts)


def _strips(
    strips: Sequence[Strip], texts: PlotTexts, width: int, log: bool, zero: bool
) -> tuple[Markup, int]:
    height = STRIPS_TOP + ROW * len(strips) + BOTTOM
    frame = Box(RIGHT, STRIPS_TOP, width - RIGHT, height - BOTTOM)
    ends = [value for s in strips for value in (s.low, s.high, s.tick or s.high)]
    x = Scale.over([*ends, 0.0] if zero else ends, frame.left + INSET, frame.right - INSET, log=log)
    parts = [_across(x, frame, texts.across)]
    if zero:
        parts.append(_line(x(0), frame.top, x(0), frame.bottom, "zero"))
    parts += [_strip(s, x, frame, frame.top + ROW * row) for row, s in enumerate(strips)]
    return Markup().join(parts), height


def _strip(strip: Strip, x: Scale, frame: Box, top: float) -> Markup:
    space = frame.right - frame.left - text_width(strip.value) - 12
    y = top + 26
    parts = [
        _text(cut(strip.name, space), frame.left + 2, top + 15, "label on", "start"),
        _text(strip.value, frame.right - 2, top + 15, "value", "end"),
        _line(x(strip.low), y, x(strip.high), y, f"thin tone-{strip.tone}"),
    ]
    if strip.box:
        parts.append(_line(x(strip.box[0]), y, x(strip.box[1]), y, f"thick tone-{strip.tone}"))
    if strip.tick is not None:
        parts.append(_line(x(strip.tick), y - 4, x(strip.tick), y + 4, f"thin tone-{strip.tone}"))
    dot = _tag("circle", cx=_n(x(strip.middle)), cy=_n(y), r=4.5, class_=f"dot tone-{strip.tone}")
    return Markup().join([*parts, dot])


def _across(x: Scale, frame: Box, name: str) -> Markup:
    parts = []
    for value, text in x.ticks(frame.left, frame.right, apart=52):
        at = x(value)
        parts.append(_line(at, frame.top, at, frame.bottom, "grid"))
        half = text_width(text) / 2
        middle = min(max(at, frame.left + half - 6), frame.right - half + 4)
        parts.append(_text(text, middle, frame.bottom + 16, "tick", "middle"))
    center = (frame.left + frame.right) / 2
    parts.append(_text(name, center, frame.bottom + 36, "axis", "middle"))
    parts.append(_line(frame.left, frame.bottom, frame.right, frame.bottom, "base"))
    return Markup().join(parts)


def _upwards(y: Scale, frame: Box, name: str) -> Markup:
    parts = [_text(name, 2, 14, "axis", "start")]
    for value, text in y.ticks(frame.top, frame.bottom, apart=34):
        parts.append(_line(frame.left, y(value), frame.right, y(value), "grid"))
        parts.append(_text(text, frame.left - 6, y(value) + 4, "tick", "end"))
    return Markup().join(parts)


def _both(draw: Callable[[int], tuple[Markup, int]], texts: PlotTexts) -> Markup:
    return Markup().join(_svg(name, width, *draw(width), texts) for name, width in DRAWINGS.items())


def _svg(name: str, width: int, inside: Markup, height: int, texts: PlotTexts) -> Markup:
    key = f"{texts.key}-{name}"
    return _tag(
        "svg",
        _tag("title", texts.title, id=f"{key}-title"),
        _tag("desc", texts.description, id=f"{key}-desc"),
        inside,
        class_=f"plot {name}",
        viewBox=f"0 0 {width} {height}",
        role="img",
        aria_labelledby=f"{key}-title",
        aria_describedby=f"{key}-desc",
    )


def _text(text: str, x: float, y: float, name: str, anchor: str) -> Markup:
    return _tag("text", text, x=_n(x), y=_n(y), class_=name, text_anchor=anchor)


def _line(x1: float, y1: float, x2: float, y2: float, name: str) -> Markup:
    return _tag("line", x1=_n(x1), y1=_n(y1), x2=_n(x2), y2=_n(y2), class_=name)


def _tag(name: str, *inside: str | Markup, **attributes: object) -> Markup:
    """Return an element with escaped text; `text_anchor` is `text-anchor`, `class_` `class`."""
    names = [key.rstrip("_").replace("_", "-") for key in attributes]
    pairs = zip(names, attributes.values(), strict=True)
    written = "".join(f' {key}="{escape(value)}"' for key, value in pairs)
    return Markup(f"<{name}{written}>{''.join(escape(part) for part in inside)}</{name}>")


def _n(value: float) -> str:
    return f"{round(value, 1):g}"
