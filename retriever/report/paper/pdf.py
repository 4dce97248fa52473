"""Drawings as PDF files, by reportlab: paths, lines, circles and texts, with an embedded font."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

from indexes.errors import InputError
from retriever.report.paper.standalone import FONT, SIZE, Drawing

NO_REPORTLAB = (
    "Plots as files need reportlab, which also has their font. "
    "Run: pip install 'retriever-compare[plots]'"
)
ANCHORS = {"start": 0.0, "middle": 0.5, "end": 1.0}


def font_file() -> bytes:
    """Return the TrueType font of all plots, Bitstream Vera Sans, which may be passed on.

    Raises:
        InputError: reportlab is not installed.
    """
    try:
        import reportlab
    except ImportError:
        raise InputError(NO_REPORTLAB) from None
    return (Path(reportlab.__file__).parent / "fonts" / "Vera.ttf").read_bytes()


def pdf_file(drawing: Drawing, font: bytes) -> bytes:
    """Return a drawing as a PDF of one page; the same drawing gives the same bytes.

    A letter that the font does not have is a question mark.
    """
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont
    from reportlab.pdfgen.canvas import Canvas

    if FONT not in pdfmetrics.getRegisteredFontNames():
        pdfmetrics.registerFont(TTFont(FONT, io.BytesIO(font)))
    size = float(drawing.attrib["width"]), float(drawing.attrib["height"])
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=size, invariant=1)
    for title in drawing.iterfind("title"):
        canvas.setTitle(title.text or "")
    page = _Page(canvas, size[1], pdfmetrics.getFont(FONT))
    for element in drawing:
        page.draw(element)
    canvas.save()
    return file.getvalue()


class _Page:
    """A page of a PDF, whose places are given as in SVG: from the top down."""

    def __init__(self, canvas: Any, height: float, font: Any) -> None:
        self._canvas = canvas
        self._height = height
        self._font = font

    def draw(self, element: Drawing) -> None:
        """Draw an element by its attributes."""
        draw = {
            "path": self._path,
            "line": self._line,
            "circle": self._circle,
            "text": self._text,
        }.get(element.tag)
        if draw is None:
            return
        self._canvas.saveState()
        self._set(element)
        draw(element)
        self._canvas.restoreState()

    def _set(self, element: Drawing) -> None:
        of = element.attrib
        self._canvas.setLineWidth(float(of.get("stroke-width", 1)))
        self._canvas.setLineJoin(1 if of.get("stroke-linejoin") == "round" else 0)
        if "stroke-dasharray" in of:
            self._canvas.setDash([float(one) for one in of["stroke-dasharray"].split()])
        if (fill := of.get("fill", "#000000")) != "none":
            self._canvas.setFillColor(fill)
        if "stroke" in of:
            self._canvas.setStrokeColor(of["stroke"])
        # Last: a color resets its opacity.
        opacity = float(of.get("opacity", 1))
        self._canvas.setFillAlpha(opacity)
        self._canvas.setStrokeAlpha(opacity)

    def _path(self, element: Drawing) -> None:
        moved = re.search(r"translate\(([-\d.]+),([-\d.]+)\)", element.attrib.get("transform", ""))
        dx, dy = (float(one) for one in moved.groups()) if moved else (0.0, 0.0)
        path = self._canvas.beginPath()
        self._follow(path, element.attrib["d"], dx, dy)
        self._paint(path, element)

    def _follow(self, path: Any, steps: str, dx: float, dy: float) -> None:
        """Take the steps of an SVG path: absolute ones, without arcs."""
        x = y = 0.0
        for part in re.findall(r"[MLHVCZ][^MLHVCZ]*", steps):
            command, numbers = part[0], [float(one) for one in re.findall(r"-?[\d.]+", part)]
            if command == "Z":
                path.close()
                continue
            if command in "HV":
                x, y = (numbers[0], y) if command == "H" else (x, numbers[0])
                numbers = [x, y]
            places = [
                place
                for across, down in zip(numbers[::2], numbers[1::2], strict=True)
                for place in (across + dx, self._height - down - dy)
            ]
            x, y = numbers[-2:]
            {"M": path.moveTo, "C": path.curveTo}.get(command, path.lineTo)(*places)

    def _line(self, element: Drawing) -> None:
        x1, y1, x2, y2 = (float(element.attrib[name]) for name in ("x1", "y1", "x2", "y2"))
        self._canvas.line(x1, self._height - y1, x2, self._height - y2)

    def _circle(self, element: Drawing) -> None:
        x, y, radius = (float(element.attrib[name]) for name in ("cx", "cy", "r"))
        path = self._canvas.beginPath()
        path.circle(x, self._height - y, radius)
        self._paint(path, element)

    def _paint(self, path: Any, element: Drawing) -> None:
        filled, stroked = element.attrib.get("fill") != "none", "stroke" in element.attrib
        self._canvas.drawPath(path, fill=int(filled), stroke=int(stroked))

    def _text(self, element: Drawing) -> None:
        known = self._font.face.charToGlyph
        text = "".join(one if ord(one) in known else "?" for one in element.text or "")
        width = self._font.stringWidth(text, SIZE)
        x = float(element.attrib["x"]) - width * ANCHORS[element.attrib.get("text-anchor", "start")]
        y = self._height - float(element.attrib["y"])
        # The outline first, so that it covers what is behind and not the letters.
        for mode in (1, 0) if "stroke" in element.attrib else (0,):
            self._canvas.saveState()
            words = self._canvas.beginText(x, y)
            words.setFont(self._font.fontName, SIZE)
            words.setTextRenderMode(mode)
            words.textOut(text)
            self._canvas.drawText(words)
            self._canvas.restoreState()
