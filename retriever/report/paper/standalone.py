"""Drawings of the page as SVG files that need nothing else: with their colors and their font."""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping

from indexes.errors import InputError
from retriever.evaluation.results import ComparisonResults
from retriever.report.html.figures import figures, scatters

SPACE = "http://www.w3.org/2000/svg"
FONT = "Bitstream Vera Sans"
SIZE = 12.0
# The drawing of the two in the page that suits a column of a paper.
WIDTH = "wide"
# Of a system, in the name of a file.
LONGEST_NAME = 80
INK, SOFT, RULE, EDGE, PAPER = "#1f1e1b", "#5d5952", "#e3dfd6", "#8b867c", "#ffffff"
TONES = {
    "static": "#a8560f",
    "contextual": "#1b5fa6",
    "lexical": "#566a12",
    "combined": "#7a3b9c",
    "better": "#1a6a42",
    "worse": "#a33a17",
}
OTHER_TONE = "#66625b"
# Attributes by class, as the style sheet of the page has them; `tone` is the color of the system.
STYLES: Mapping[str, Mapping[str, str]] = {
    "grid": {"stroke": RULE},
    "base": {"stroke": EDGE},
    "leader": {"stroke": EDGE},
    "zero": {"stroke": EDGE, "stroke-dasharray": "3 3"},
    "front": {"fill": "none", "stroke": INK, "stroke-width": "1.25", "opacity": "0.55"},
    "beaten": {"fill": INK, "opacity": "0.035"},
    "curve": {"fill": "none", "stroke": "tone", "stroke-width": "1.75"},
    "point": {"fill": "tone", "stroke": "tone", "stroke-width": "1.6"},
    "off": {"fill": PAPER},
    "thin": {"stroke": "tone", "stroke-width": "1.5"},
    "thick": {"stroke": "tone", "stroke-width": "7", "opacity": "0.35"},
    "dot": {"fill": "tone", "stroke": PAPER, "stroke-width": "1.5"},
    "tick": {"fill": SOFT},
    "axis": {"fill": SOFT},
    "value": {"fill": INK},
    "label": {
        "fill": SOFT,
        "paint-order": "stroke",
        "stroke": PAPER,
        "stroke-width": "3",
        "stroke-linejoin": "round",
    },
}
ON_THE_FRONT = {"fill": INK}

Drawing = ET.Element


def drawings(comparison: ComparisonResults) -> dict[str, Drawing]:
    """Return the plots of a comparison by name, with all they need as attributes.

    Raises:
        InputError: there is none: no judgments, and no measured latency.
    """
    drawn = figures(comparison)
    for number, (name, both) in enumerate(scatters(comparison).items(), start=1):
        # A name of a system is not always one of a file, and two may look alike then.
        safe = re.sub(r"[^\w.+-]", "_", name)[:LONGEST_NAME]
        key = f"queries-{safe}"
        drawn[key if key not in drawn else f"{key}-{number}"] = both
    found = {
        name: styled(ET.fromstring(svg))
        for name, both in drawn.items()
        for svg in re.findall(rf'<svg class="plot {WIDTH}".*?</svg>', both, re.DOTALL)
    }
    if not found:
        raise InputError("The comparison has nothing to plot: it needs judgments, or an index.")
    return found


def styled(drawing: Drawing) -> Drawing:
    """Return a drawing with attributes in place of the classes that the page's style refers to."""
    width, height = drawing.attrib["viewBox"].split()[2:]
    kept = {name: drawing.attrib[name] for name in ("viewBox", "role")}
    made = ET.Element("svg", {"xmlns": SPACE, "width": width, "height": height, **kept})
    for element in drawing:
        made.append(_styled(element))
    made.set("font-family", f"'{FONT}', sans-serif")
    made.set("font-size", f"{SIZE:g}")
    return made


def _styled(element: Drawing) -> Drawing:
    classes = element.attrib.get("class", "").split()
    tones = [one.removeprefix("tone-") for one in classes if one.startswith("tone-")]
    tone = TONES.get(tones[0], OTHER_TONE) if tones else OTHER_TONE
    attributes = {
        name: value
        for name, value in element.attrib.items()
        if name not in ("class", "data-name", "id")
    }
    for one in classes:
        attributes |= STYLES.get(one, {})
    if "label" in classes and "on" in classes:
        attributes |= ON_THE_FRONT
    made = ET.Element(
        element.tag, {name: tone if of == "tone" else of for name, of in attributes.items()}
    )
    made.text = element.text
    made.extend(map(_styled, element))
    return made


def svg_file(drawing: Drawing, font: bytes) -> str:
    """Return a drawing as the text of an SVG file that carries a TrueType font."""
    encoded = base64.b64encode(font).decode()
    style = ET.Element("style")
    style.text = (
        f"@font-face {{ font-family: '{FONT}'; src: url(data:font/ttf;base64,{encoded}) "
        "format('truetype'); }"
    )
    whole = ET.Element("svg", drawing.attrib)
    whole.append(style)
    whole.extend(drawing)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(whole, encoding="unicode")}\n'
