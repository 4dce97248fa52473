import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from indexes.errors import InputError
from retriever.evaluation.results import Agreement, Excerpt, Query
from retriever.formatting import join_names
from retriever.report.headline import headline, needed, signed
from retriever.report.html.explorer import explorer_json
from retriever.report.html.page import page, write_page
from tests.support.samples import (
    MEASURE,
    compared,
    cost,
    difference,
    latency,
    only,
    row,
    three,
    unjudged,
)

HOSTILE = "</script><script>alert(1)</script><!--<b>&\u2028"


def tables(html):
    """The tables of a page by name: row, column, and the element of the cell."""
    found = {}
    for text in re.findall(r"<table.*?</table>", html, re.DOTALL):
        table = ET.fromstring(text)
        columns = ["".join(th.itertext()) for th in table.iterfind("thead/tr/th")]
        found[table.get("aria-label")] = {
            "".join(tr.find("th").itertext()): dict(zip(columns, tr.iterfind("td"), strict=True))
            for tr in table.iterfind("tbody/tr")
        }
    return found


def texts(html, name):
    """A table's cells as texts: their first line, then the notes under it."""
    return {
        row: {column: "|".join(cell.itertext()) for column, cell in cells.items()}
        for row, cells in tables(html)[name].items()
    }


def data_of(html):
    """What the explorer reads."""
    return json.loads(re.search(r'id="data">(.*?)</script>', html, re.DOTALL).group(1))


def sections(html):
    return re.findall(r'<section id="(\w+)">', html)


# -- the headline ---------------------------------------------------------------------------------


def test_the_headline_says_what_is_best_and_whether_that_may_be_chance():
    said = headline(three())
    assert said.title == "minilm is best in nDCG@10 (0.625)."
    assert said.sentences == [
        "minilm is not distinguishable from the baseline, bm25 (0.500): +0.125, "
        "95 % interval −0.050 to +0.300; about 1,200 queries needed to distinguish.",
        "Worse than bm25: glove.",
        "Worth their time a query, as no other is as good for less: glove, bm25 and minilm.",
        "Worth their time to build, as no other is as good for less: bm25 and minilm.",
    ]


def test_the_headline_of_a_system_that_is_better():
    made = three()
    better = replace(
        made.rows["minilm"], differences={MEASURE: difference(0.125, 0.05, 0.2, 0.002)}
    )
    said = headline(replace(made, rows=made.rows | {"minilm": better}))
    assert said.sentences[0] == (
        "minilm is better than the baseline, bm25 (0.500): +0.125, 95 % interval +0.050 to +0.200."
    )


def test_the_headline_when_the_baseline_is_best():
    made = replace(three(), rows={n: r for n, r in three().rows.items() if n != "minilm"})
    said = headline(made)
    assert said.title == "bm25 is best in nDCG@10 (0.500)."
    assert said.sentences[0] == "Worse than bm25: glove."


def test_systems_that_are_drawn_alike_are_best_together():
    made = only(three(), "bm25", "glove")
    rows = {name: replace(row, quality={MEASURE: 0.5}) for name, row in made.rows.items()}
    assert headline(replace(made, rows=rows)).title == "bm25 and glove are best in nDCG@10 (0.500)."


def test_without_a_baseline_nothing_is_said_about_chance():
    said = headline(only(three(), "bm25", "glove"))
    assert said.sentences[0] == (
        "No baseline was given, so no difference was tested for significance."
    )


def test_one_system_is_not_the_best_of_anything():
    said = headline(only(three(), "minilm"))
    assert said.title == "minilm reaches 0.625 in nDCG@10."
    assert said.sentences == []


def test_without_judgments_the_headline_says_who_agrees():
    said = headline(unjudged())
    assert said.title == "3 systems answered 2 queries."
    assert said.sentences[0] == (
        "glove and minilm agree most (overlap@3 0.750), bm25 and minilm least (0.250)."
    )
    assert headline(only(unjudged(), "bm25", "glove")).sentences[0] == (
        "bm25 and glove have an overlap@3 of 0.500."
    )


def test_queries_that_no_system_answers_are_counted():
    made = three()
    lost = replace(made.queries["q1"], judgments={"nowhere": 1})
    said = headline(replace(made, queries=made.queries | {"q1": lost}))
    assert said.sentences[-1] == (
        "For 1 query no system found a relevant document: check its label."
    )


def test_differences_have_a_sign_and_zero_has_none():
    assert signed(0.0456) == "+0.046"
    assert signed(-0.0456) == "−0.046"
    assert signed(-0.0004) == "0.000"
    assert signed(0.5, 1) == "+0.5"
    assert join_names(["a"]) == "a"
    assert join_names(["a", "b", "c"]) == "a, b and c"


@pytest.mark.parametrize(
    ("queries", "said"), [(1, "1 query"), (99, "99 queries"), (1251, "1,300 queries")]
)
def test_the_queries_needed_have_two_digits(queries, said):
    assert needed(difference(0.1, -1, 1, 0.5, queries)) == f"about {said} needed to distinguish"
    assert needed(difference(0.1, 0, 1, 0.01, queries)) == ""
    assert needed(difference(0.1, -1, 1, 0.5, None)) == ""


# -- the tables -----------------------------------------------------------------------------------


def test_the_quality_of_each_system_with_its_difference():
    html = page(three())
    name = "Quality, higher is better; under it the difference to bm25"
    assert texts(html, name) == {
        "bm25": {"nDCG@10": "0.5000"},
        "glove": {"nDCG@10": "0.2500|▼ −0.250|worse than bm25"},
        "minilm": {"nDCG@10": "0.6250|≈ +0.125|not distinguishable from bm25"},
    }
    bold = {
        row
        for row, cells in tables(html)[name].items()
        if cells["nDCG@10"].find("strong") is not None
    }
    assert bold == {"minilm"}


def test_the_differences_to_the_baseline():
    assert texts(page(three()), "nDCG@10, difference to bm25") == {
        "glove": {
            "Difference": "−0.2500",
            "95 % interval": "−0.400 to −0.100",
            "p": "0.005",
            "p, Holm": "0.010",
            "Wins / ties / losses": "0 / 1 / 2",
            "Verdict": "▼ worse",
        },
        "minilm": {
            "Difference": "+0.1250",
            "95 % interval": "−0.050 to +0.300",
            "p": "0.200",
            "p, Holm": "0.400",
            "Wins / ties / losses": "1 / 1 / 0",
            "Verdict": "≈ not distinguishable|about 1,200 queries needed to distinguish",
        },
    }


def test_the_loss_of_an_index_stands_apart_from_its_model():
    assert texts(page(three()), "Quality lost by the model and by the index") == {
        "minilm": {
            "nDCG@10, exact search": "0.6500",
            "nDCG@10, this index": "0.6250",
            "lost by the index": "+0.0250",
            "ann_recall@3": "0.980",
        }
    }


def test_what_answering_costs():
    found = texts(page(three()), "Answering: one query alone, milliseconds, p50 / p95 / p99")
    assert found["bm25"] == {
        "Encoding": "0.50|1.00 / 2.00",
        "Searching": "0.50|1.00 / 2.00",
        "Fetching": "0.00|0.00 / 0.00",
        "All": "1.00|2.00 / 4.00",
        "Queries/s, as a batch": "1,200",
        "On the front": "yes",
    }


def test_what_building_costs():
    assert texts(page(three()), "Building and keeping")["glove"] == {
        "Embedding, s": "4.00",
        "Indexing, s": "0.00",
        "Documents/s": "25",
        "Tokens/s": "-",
        "Memory, building": "5.0 MB",
        "Memory, open": "-",
        "On disk": "200.0 kB",
        "Bytes a document": "2,000",
        "On the front": "-",
    }


def test_agreement_is_the_same_from_both_sides():
    found = texts(
        page(three()), "Similarity of the results: overlap@3, and rank-biased overlap under it"
    )
    assert found["glove"] == {"bm25": "0.500|0.400", "glove": "-", "minilm": "0.750|0.600"}
    assert found["minilm"] == {"bm25": "0.250|0.200", "glove": "0.750|0.600", "minilm": "-"}


# -- what is not there ----------------------------------------------------------------------------


def test_without_judgments_there_are_agreement_cost_and_queries():
    html = page(unjudged())
    assert sections(html) == ["cost", "agreement", "explorer", "certificate"]
    assert "nDCG" not in html.split("<script")[0]
    assert data_of(html)["queries"][0]["values"] == []
    assert "On the front" not in html


def test_without_a_baseline_nothing_is_compared_with_it():
    html = page(only(three(), "bm25", "minilm"))
    assert sections(html) == ["quality", "cost", "agreement", "explorer", "certificate"]
    assert texts(html, "Quality, higher is better")["minilm"] == {"nDCG@10": "0.6250"}


def test_one_system_has_nobody_to_agree_with():
    html = page(only(three(), "minilm"))
    assert sections(html) == ["quality", "cost", "explorer", "certificate"]
    assert data_of(html)["pair"] is None
    cell = tables(html)["Quality, higher is better"]["minilm"]["nDCG@10"]
    assert cell.find("strong") is None


def test_a_run_from_elsewhere_has_no_cost():
    made = three()
    rows = {"theirs": row("theirs", 0.7, "run", "run")} | dict(made.rows)
    html = page(
        replace(
            made,
            rows=rows,
            pairwise=made.pairwise | {("theirs", name): Agreement(0.5, 0.5) for name in made.rows},
            per_query=made.per_query | {"theirs": {MEASURE: {"q1": 1.0}}},
            runs=made.runs | {"theirs": replace(made.runs["bm25"], name="theirs")},
        )
    )
    assert headline(replace(made, rows=rows)).title.startswith("theirs is best")
    assert list(tables(html)["Building and keeping"]) == ["bm25", "glove", "minilm"]
    assert data_of(html)["queries"][1]["values"] == [[None, 0.0, 0.0, 1.0]]


def test_runs_alone_cost_nothing_and_are_drawn_without_plots():
    queries = [Query("q", "one query", {"d": 1})]
    made = compared([row("a", 1.0, "run", "run")], {"a": {"q": 1.0}}, {"a": {"q": ["d"]}}, queries)
    html = page(made)
    assert sections(html) == ["quality", "explorer", "certificate"]
    assert "<svg" not in html


def test_nothing_at_all_is_a_page_too():
    html = page(compared([], {}, {}, []))
    assert "Nothing was compared." in html
    assert sections(html) == ["explorer", "certificate"]


# -- the explorer's data --------------------------------------------------------------------------


def test_a_query_with_its_values_ranks_and_hits():
    data = data_of(page(three()))
    names = [document[0] for document in data["documents"]]
    assert [system["name"] for system in data["systems"]] == ["bm25", "glove", "minilm"]
    assert data["measures"] == ["nDCG@10"]
    first, second = data["queries"]
    assert first["values"] == [[1.0, 0.5, 0.25]]
    assert [(names[at], grade, ranks) for at, grade, ranks in first["ranks"]] == [
        ("cat", 2, [1, 2, 3])
    ]
    assert second["ranks"][0][2] == [None, None, 1]
    assert [[names[at] for at, _ in hits] for hits in first["hits"]] == [
        ["cat", "dog"],
        ["dog", "cat"],
        ["dog", "car", "cat"],
    ]
    assert first["hits"][2][2][1] == 0.33333
    assert second["unknown"] == [["glove", ["taxes"]]]
    assert first["matched"] == ["cat", "purrs"]


def test_only_the_first_k_hits_are_on_the_page():
    data = json.loads(explorer_json(three(k=1)))
    assert [len(hits) for hits in data["queries"][0]["hits"]] == [1, 1, 1]
    assert [document[0] for document in data["documents"]] == ["cat", "dog", "tax"]


def test_a_query_that_nothing_answers_is_marked():
    made = three()
    lost = replace(made.queries["q2"], judgments={"nowhere": 1})
    data = json.loads(explorer_json(replace(made, queries=made.queries | {"q2": lost})))
    assert [query["missed"] for query in data["queries"]] == [False, True]
    assert data["documents"][data["queries"][1]["ranks"][0][0]] == ["nowhere", "", ""]


def test_the_page_opens_with_the_contrasted_systems():
    assert json.loads(explorer_json(three()))["pair"] == ["glove", "minilm"]
    assert json.loads(explorer_json(only(three(), "bm25", "minilm")))["pair"] == ["bm25", "minilm"]


def test_what_json_cannot_hold_is_left_out():
    made = three()
    values = {"bm25": {MEASURE: {"q1": float("nan"), "q2": float("inf")}}}
    data = json.loads(explorer_json(replace(made, per_query=made.per_query | values)))
    assert [query["values"][0][0] for query in data["queries"]] == [None, None]


# -- hostile texts --------------------------------------------------------------------------------


def hostile():
    queries = [Query(HOSTILE, HOSTILE, {HOSTILE: 1}, {HOSTILE: [HOSTILE]}, frozenset({HOSTILE}))]
    rows = [
        row(HOSTILE, 1.0, latency=latency(1), cost=cost(1)),
        row("b", 0.5, latency=latency(2), cost=cost(2)),
    ]
    return replace(
        compared(
            rows,
            {HOSTILE: {HOSTILE: 1.0}, "b": {HOSTILE: 0.5}},
            {HOSTILE: {HOSTILE: [HOSTILE]}},
            queries,
            documents={HOSTILE: Excerpt(HOSTILE, HOSTILE)},
            pairwise={(HOSTILE, "b"): Agreement(0.5, 0.5)},
        ),
        notes=[HOSTILE],
        environment={HOSTILE: HOSTILE, "command": HOSTILE},
    )


def test_no_text_becomes_markup():
    html = page(hostile())
    assert "alert(1)</script>" not in html
    assert html.count("<script") == html.count("</script>") == 2
    assert "<!--" not in html
    (document,) = data_of(html)["documents"]
    assert document == [HOSTILE, HOSTILE, HOSTILE]


def test_half_a_surrogate_pair_can_be_written(tmp_path):
    made = three(environment={"collection": "caf\udce9"}, notes=["\ud800"])
    write_page(made, tmp_path / "page.html")
    assert "caf?" in (tmp_path / "page.html").read_text("utf-8")


# -- the file -------------------------------------------------------------------------------------


def test_the_page_needs_no_network():
    html = page(three())
    assert not re.search(r"(src|href)=\"(?!#|data:)", html)
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|innerHTML", html)
    assert "default-src 'none'" in html


def test_the_certificate_and_the_notes_are_on_the_page():
    html = page(
        three(notes=["2 documents are empty."], environment={"seed": "7", "command": "retriever a"})
    )
    assert "<li>2 documents are empty.</li>" in html
    assert "<dt>seed</dt><dd>7</dd>" in html
    assert "<code>retriever a</code>" in html


def test_the_page_is_written_whole_or_not_at_all(tmp_path):
    made = three()
    write_page(made, tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text("utf-8") == page(made)
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    with pytest.raises(InputError, match="cannot be written"):
        write_page(made, tmp_path / "none" / "page.html")
