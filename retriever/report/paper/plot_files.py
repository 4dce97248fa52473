"""The plots of a comparison as files: SVG and PDF that stand alone."""

from __future__ import annotations

from pathlib import Path

from indexes.errors import InputError
from retriever.evaluation.results import ComparisonResults
from retriever.formats.writing import atomic_writer
from retriever.report.paper.pdf import font_file, pdf_file
from retriever.report.paper.standalone import drawings, svg_file


def write_plots(comparison: ComparisonResults, folder: Path) -> list[Path]:
    """Write each plot as `folder/NAME.svg` and `.pdf`; return the paths.

    Raises:
        InputError: reportlab is not installed, there is nothing to plot, or the folder cannot be
            written to.
    """
    font = font_file()
    found = drawings(comparison)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be made: {error.strerror or error}.") from None
    paths = []
    for name, drawing in found.items():
        svg, pdf = folder / f"{name}.svg", folder / f"{name}.pdf"
        with atomic_writer(svg) as file:
            file.write(svg_file(drawing, font))
        pdf.write_bytes(pdf_file(drawing, font))
        paths += [svg, pdf]
    return paths
