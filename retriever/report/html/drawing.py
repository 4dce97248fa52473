"""SVG elements, axes and sizes that all plots share.

Every plot is drawn for narrow and for wide screens, so that text keeps its size; the page shows the
one that fits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from markupsafe import Markup, escape

from retriever.report.html.plot_labels import Box, text_width
from retriever.report.html.scales import Scale

# The class of each drawing, and its width in pixels.
DRAWINGS = {"narrow": 320, "wide": 520}
LEFT, RIGHT, TOP, BOTTOM = 40, 8, 26, 44
# Distance of the outermost values from the frame.
INSET = 24


@dataclass(frozen=True)
class PlotTexts:
    """Texts of a plot: its title, its description for screen readers, and its axis labels."""

    key: str
    title: str
    description: str
    across: str
    upwards: str = ""


def across_axis(x: Scale, frame: Box, name: str) -> Markup:
    """Draw the axis at the bottom of a frame, with its ticks and its name."""
    parts = []
    for value, text in x.ticks(frame.left, frame.right, apart=52):
        at = x(value)
        parts.append(rule(at, frame.top, at, frame.bottom, "grid"))
        half = text_width(text) / 2
        middle = min(max(at, frame.left + half - 6), frame.right - half + 4)
        parts.append(words(text, middle, frame.bottom + 16, "tick", "middle"))
    center = (frame.left + frame.right) / 2
    parts.append(words(name, center, frame.bottom + 36, "axis", "middle"))
    parts.append(rule(frame.left, frame.bottom, frame.right, frame.bottom, "base"))
    return Markup().join(parts)


def up_axis(y: Scale, frame: Box, name: str) -> Markup:
    """Draw the grid of a frame from the bottom up, with its ticks; the name is above it."""
    parts = [words(name, 2, 14, "axis", "start")]
    for value, text in y.ticks(frame.top, frame.bottom, apart=34):
        parts.append(rule(frame.left, y(value), frame.right, y(value), "grid"))
        parts.append(words(text, frame.left - 6, y(value) + 4, "tick", "end"))
    return Markup().join(parts)


def for_screens(draw: Callable[[int], tuple[Markup, int]], texts: PlotTexts) -> Markup:
    """Return the drawings of a plot; `draw` returns the parts and the height for a width."""
    return Markup().join(_svg(name, width, *draw(width), texts) for name, width in DRAWINGS.items())


def _svg(name: str, width: int, inside: Markup, height: int, texts: PlotTexts) -> Markup:
    key = f"{texts.key}-{name}"
    return tag(
        "svg",
        tag("title", texts.title, id=f"{key}-title"),
        tag("desc", texts.description, id=f"{key}-desc"),
        inside,
        class_=f"plot {name}",
        viewBox=f"0 0 {width} {height}",
        role="img",
        aria_labelledby=f"{key}-title",
        aria_describedby=f"{key}-desc",
    )


def words(text: str, x: float, y: float, name: str, anchor: str) -> Markup:
    """Return a text of a class at a place."""
    return tag("text", text, x=px(x), y=px(y), class_=name, text_anchor=anchor)


def rule(x1: float, y1: float, x2: float, y2: float, name: str) -> Markup:
    """Return a straight line of a class."""
    return tag("line", x1=px(x1), y1=px(y1), x2=px(x2), y2=px(y2), class_=name)


def tag(name: str, *inside: str | Markup, **attributes: object) -> Markup:
    """Return an element with escaped text; `text_anchor` is `text-anchor`, `class_` `class`."""
    names = [key.rstrip("_").replace("_", "-") for key in attributes]
    pairs = zip(names, attributes.values(), strict=True)
    written = "".join(f' {key}="{escape(value)}"' for key, value in pairs)
    return Markup(f"<{name}{written}>{''.join(escape(part) for part in inside)}</{name}>")


def px(value: float) -> str:
    """Format a length, in tenths of a pixel."""
    return f"{round(value, 1):g}"
