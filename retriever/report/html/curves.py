"""Plot of a quality by the number of hits that count, one line per system."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from retriever.report.html.drawing import (
    BOTTOM,
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
from retriever.report.html.plot_labels import LINE, Box, cut, text_width
from retriever.report.html.plots import OTHER_SHAPE, SHAPES
from retriever.report.html.scales import Scale

# Distance of the lines from the frame, and of the names from the lines.
EDGE, BESIDE = 10, 16
# Systems of one family have one color, and lines of their own.
DASHES = ("", "6 3", "2 3", "8 3 2 3")


@dataclass(frozen=True)
class Curve:
    """A system in the plot, with a value for each number of hits."""

    name: str
    family: str
    values: Sequence[float]


def curves_plot(cutoffs: Sequence[int], curves: Sequence[Curve], texts: PlotTexts) -> Markup:
    """Plot the values of each curve against `cutoffs` on a log scale; empty without curves.

    Each line is named at its right end.
    """
    if not curves:
        return Markup()
    return for_screens(lambda width: _curves(cutoffs, curves, texts, width), texts)


def _curves(
    cutoffs: Sequence[int], curves: Sequence[Curve], texts: PlotTexts, width: int
) -> tuple[Markup, int]:
    names = [cut(curve.name, 0.32 * width) for curve in curves]
    height = max(round(width * 0.62) + 60, LINE * len(curves) + TOP + BOTTOM)
    column = max(map(text_width, names)) + BESIDE
    frame = Box(LEFT, TOP, width - RIGHT - column, height - BOTTOM)
    x = Scale.over(cutoffs, frame.left + EDGE, frame.right - EDGE, log=True)
    y = Scale.over(
        [value for curve in curves for value in curve.values], frame.bottom - EDGE, frame.top + EDGE
    )
    ends = [y(curve.values[-1]) for curve in curves]
    parts = [across_axis(x, frame, texts.across), up_axis(y, frame, texts.upwards)]
    families = list[str]()
    for curve in curves:
        parts.append(_curve(curve, cutoffs, x, y, DASHES[families.count(curve.family) % 4]))
        families.append(curve.family)
    for name, end, at in zip(names, ends, _apart(ends, frame), strict=True):
        parts.append(rule(frame.right - EDGE + 7, end, frame.right + BESIDE - 3, at, "leader"))
        parts.append(words(name, frame.right + BESIDE, at + 4, "label on", "start"))
    return Markup().join(parts), height


def _curve(curve: Curve, cutoffs: Sequence[int], x: Scale, y: Scale, dash: str) -> Markup:
    places = [(x(k), y(value)) for k, value in zip(cutoffs, curve.values, strict=True)]
    path = "M" + "L".join(f"{px(across)},{px(up)}" for across, up in places)
    options = {"stroke_dasharray": dash} if dash else {}
    line = tag(
        "path",
        tag("title", curve.name),
        d=path,
        class_=f"curve tone-{curve.family}",
        data_name=curve.name,
        **options,
    )
    across, up = places[-1]
    shape = tag(
        "path",
        d=SHAPES.get(curve.family, OTHER_SHAPE),
        transform=f"translate({px(across)},{px(up)})",
        class_=f"point on tone-{curve.family}",
    )
    return line + shape


def _apart(ends: Sequence[float], frame: Box) -> list[float]:
    """Return places for labels at `ends`, in their order from the top, a line apart at least."""
    order = sorted(range(len(ends)), key=ends.__getitem__)
    places = [0.0] * len(ends)
    last = frame.top - LINE
    for at in order:
        last = places[at] = max(ends[at], last + LINE)
    # What was pushed below the frame pushes the others up.
    last = frame.bottom + LINE
    for at in reversed(order):
        last = places[at] = min(places[at], last - LINE)
    return places
