"""Plot of all queries by their values under two systems, one dot per query."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

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
)
from retriever.report.html.plot_labels import Box, cut
from retriever.report.html.scales import Scale

# Radius of the dot of one query, and the largest: its area grows with the queries at one place.
SMALL, LARGE = 3.6, 12.0
# Distance of the values 0 and 1 from the frame, so that dots at the edge are whole.
EDGE = 14
# Values that are closer are one place.
PLACES = 3

# The value of a query for the system across, and for the system upwards.
Pair = tuple[float, float]


def scatter_plot(pairs: Sequence[Pair], texts: PlotTexts) -> Markup:
    """Plot a dot per query on a square with its diagonal, where the systems are equal.

    Queries at one place are one dot of a larger area. Empty without pairs.
    """
    if not pairs:
        return Markup()
    return for_screens(lambda width: _scatter(pairs, texts, width), texts)


def _scatter(pairs: Sequence[Pair], texts: PlotTexts, width: int) -> tuple[Markup, int]:
    side = width - LEFT - RIGHT
    frame = Box(LEFT, TOP, LEFT + side, TOP + side)
    reach = max(1.0, *(value for pair in pairs for value in pair))
    x = Scale(0.0, reach, frame.left + EDGE, frame.right - EDGE)
    y = Scale(0.0, reach, frame.bottom - EDGE, frame.top + EDGE)
    places = Counter((round(across, PLACES), round(up, PLACES)) for across, up in pairs)
    # Large dots first, so that none hides a smaller one.
    dots = [_dot(place, count, x, y) for place, count in places.most_common()]
    equal = rule(x(0), y(0), x(reach), y(reach), "zero")
    across, upwards = (cut(name, side) for name in (texts.across, texts.upwards))
    axes = [across_axis(x, frame, across), up_axis(y, frame, upwards)]
    return Markup().join([*axes, equal, *dots]), round(frame.bottom) + BOTTOM


def _dot(place: Pair, count: int, x: Scale, y: Scale) -> Markup:
    across, up = place
    tone = "better" if up > across else "worse" if up < across else "equal"
    radius = min(SMALL * count**0.5, LARGE)
    tip = f"{across:.3f}, {up:.3f}" + (f": {count:,} queries" if count > 1 else "")
    return tag(
        "circle",
        tag("title", tip),
        cx=px(x(across)),
        cy=px(y(up)),
        r=px(radius),
        class_=f"dot tone-{tone}",
    )
