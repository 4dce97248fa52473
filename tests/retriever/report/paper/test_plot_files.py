"""Plots as files: SVG and PDF that need nothing else."""

import io
import re
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from indexes.errors import InputError
from retriever.report.paper.standalone import drawings
from tests.support.samples import only, three, unjudged
from tests.support.toy import refused

NAMES = ["building", "chance", "depth", "latency", "queries-glove", "queries-minilm", "times"]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("reportlab", reason="reportlab is not installed")
    folder = tmp_path_factory.mktemp("plots") / "made"
    paths = three().write_plots(folder)
    assert sorted(path.name for path in paths) == sorted(
        f"{name}.{kind}" for name in NAMES for kind in ("svg", "pdf")
    )
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_an_svg_file_has_its_colors_and_its_font_and_loads_nothing(folder, name):
    text = (folder / f"{name}.svg").read_text("utf-8")
    svg = ET.fromstring(text)
    assert svg.get("width") == "520"
    assert "data:font/ttf;base64,AAEAAA" in text
    assert [url for url in re.findall(r"url\((.*?)\)", text) if not url.startswith("data:")] == []
    assert not any(element.get("class") or element.get("id") for element in svg.iter())
    texts = list(svg.iter(f"{SVG}text"))
    assert all(element.get("fill", "").startswith("#") for element in texts)
    assert "var(" not in text


@pytest.mark.parametrize("name", NAMES)
def test_a_pdf_file_has_one_page_with_texts_and_an_embedded_font(folder, name):
    pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed")
    reader = pypdf.PdfReader(folder / f"{name}.pdf")
    (page,) = reader.pages
    assert float(page.mediabox.width) == 520
    fonts = [font.get_object() for font in page["/Resources"]["/Font"].values()]
    used = [font for font in fonts if "Vera" in str(font["/BaseFont"])]
    assert used
    assert all("/FontFile2" in font["/FontDescriptor"].get_object() for font in used)
    # The baseline is not in the plot of differences to it.
    assert ("bm25" if name != "chance" else "minilm") in page.extract_text()


def test_the_same_comparison_gives_the_same_files(folder, tmp_path):
    again = three().write_plots(tmp_path)
    assert all(path.read_bytes() == (folder / path.name).read_bytes() for path in again)


def test_marks_of_a_plot_are_where_the_page_has_them():
    circles = list(drawings(three())["chance"].iter("circle"))
    assert {circle.get("fill") for circle in circles} == {"#a33a17", "#66625b"}


def test_letters_that_the_font_lacks_do_not_stop_the_file(folder, tmp_path):
    pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed")
    made = only(three(), "bm25")
    row = replace(made.rows["bm25"], name="検索 Ωmega")
    renamed = replace(made, rows={row.name: row}, runs={row.name: made.runs["bm25"]})
    renamed.write_plots(tmp_path)
    (page,) = pypdf.PdfReader(io.BytesIO((tmp_path / "times.pdf").read_bytes())).pages
    assert "??" in page.extract_text()
    assert "検索" in (tmp_path / "times.svg").read_text("utf-8")


def test_plots_say_what_they_need(monkeypatch, tmp_path):
    bare = replace(
        unjudged(),
        rows={name: replace(row, latency=None, cost=None) for name, row in unjudged().rows.items()},
    )
    pytest.importorskip("reportlab", reason="reportlab is not installed")
    refused(InputError, "nothing to plot", bare.write_plots, tmp_path)
    monkeypatch.setitem(sys.modules, "reportlab", None)
    command = r"Run: pip install 'retriever-compare\[plots\]'"
    refused(InputError, command, three().write_plots, tmp_path)


def test_each_system_has_its_queries_against_the_baseline_a_dot_for_each():
    made = drawings(three())
    green, red = "#1a6a42", "#a33a17"
    dots = {name: [one.get("fill") for one in made[name].iter("circle")] for name in NAMES[4:6]}
    # Of two queries, bm25 has 1 and 0, glove 0.5 and 0, minilm 0.25 and 1.
    assert dots["queries-glove"].count(red) == 1
    assert sorted(dots["queries-minilm"]) == sorted([green, red])


def test_without_a_baseline_the_queries_of_the_pair_that_the_page_shows_are_plotted():
    made = replace(three(), baseline=None)
    pair = [name for name in drawings(made) if name.startswith("queries-")]
    assert pair == [f"queries-{made.default_pair()[1]}"]


def test_a_file_is_named_after_a_system_in_letters_that_a_file_may_have():
    made, bad = three(), {"glove": "../a b"}
    parts = {
        part: {bad.get(name, name): of for name, of in getattr(made, part).items()}
        for part in ("rows", "per_query", "runs")
    }
    parts["rows"] = {name: replace(row, name=name) for name, row in parts["rows"].items()}
    assert "queries-.._a_b" in drawings(replace(made, **parts))
