"""A comparison and a run as notebooks show them."""

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

from retriever import Run
from tests.support.samples import three, unjudged


def parsed(shown):
    return ET.fromstring(f"<div>{shown._repr_html_().replace('<br>', '<br/>')}</div>")


def captions_of(page):
    return [child[0].text for child in page if child.tag == "p" and len(child)][1:]


def rows_of(table):
    return [["".join(cell.itertext()) for cell in row] for row in table.iter("tr")]


def test_a_comparison_shows_its_headline_and_tables_with_the_best_in_bold():
    page = parsed(three(notes=("a <note>",)))
    assert "".join(page[0].itertext()).startswith("minilm")
    quality = next(iter(page.iter("table")))
    assert captions_of(page)[:2] == [
        "Quality, higher is better; under it the difference to bm25",
        "Quality lost by the model and by the index",
    ]
    rows = rows_of(quality)
    assert rows[0] == ["", "nDCG@10"]
    assert [row[0] for row in rows[1:]] == ["bm25", "glove", "minilm"]
    assert [one.text for one in quality.iter("b")] == ["0.6250"]
    assert page[-1].text == "note: a <note>"


def test_a_comparison_without_judgments_shows_agreement_and_cost():
    captions = captions_of(parsed(unjudged()))
    assert captions
    assert not any("Quality" in one for one in captions)


def test_names_never_become_markup():
    made = three()
    bad = "<script>x</script>"
    rows = {bad if name == "glove" else name: row for name, row in made.rows.items()}
    rows[bad] = replace(rows[bad], name=bad)
    html = replace(made, rows=rows, pairwise={
        tuple(bad if one == "glove" else one for one in pair): alike
        for pair, alike in made.pairwise.items()
    })._repr_html_()  # fmt: skip
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_a_run_shows_the_best_hits_of_each_query():
    ranking = {f"q{n}": [(f"<d{rank}>", 1 / rank) for rank in range(1, 9)] for n in range(102)}
    page = parsed(Run("bm25", 8, ranking))
    assert page[0].text == "bm25: 102 queries, at most 8 hits each"
    rows = rows_of(page[1])
    assert rows[0] == ["query", "1", "2", "3", "4", "5"]
    assert rows[1] == ["q0", "<d1>1.000", "<d2>0.500", "<d3>0.333", "<d4>0.250", "<d5>0.200"]
    assert len(rows) == 101
    assert page[2].text == "2 more queries"
    assert re.sub("<.*?>", "", Run("x", 5, {})._repr_html_()) == "x: 0 queries, at most 5 hits each"
