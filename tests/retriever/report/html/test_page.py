import json
import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html import unescape
from itertools import combinations

import pytest

from indexes.errors import InputError
from indexes.images import Image
from retriever.evaluation.results import Agreement, Excerpt, Query
from retriever.formatting import join_names
from retriever.images import check
from retriever.report.headline import headline, needed, signed
from retriever.report.html.explorer import explorer_json
from retriever.report.html.page import page, write_page
from retriever.report.html.thumbnails import Thumbnails
from tests.support.models.pictures import illustrated, picture
from tests.support.samples import compared, cost, difference, latency, only, row, three, unjudged
from tests.support.toy import refused

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


def lines(html, name):
    """Return the lines of a table: its columns, then its rows; the notes of a cell follow bars."""
    rows = tables(html)[name]
    texts = {row: ["|".join(cell.itertext()) for cell in rows[row].values()] for row in rows}
    columns = next(iter(rows.values()))
    return [" · ".join(columns), *(" · ".join([row, *cells]) for row, cells in texts.items())]


def data_of(html):
    """What the explorer reads."""
    return json.loads(re.search(r'id="data">(.*?)</script>', html, re.DOTALL).group(1))


def explorer_data(made):
    return json.loads(explorer_json(made, Thumbnails()))


def sections(html):
    return re.findall(r'<section id="(\w+)">', html)


def test_the_headline_names_the_best_system_and_the_significance_of_its_lead():
    said = headline(three())
    assert said.title == "minilm is best in nDCG@10 (0.625)."
    assert said.sentences == [
        "minilm is not distinguishable from the baseline, bm25 (0.500): +0.125, "
        "95 % interval −0.050 to +0.300; about 1,200 queries needed to distinguish.",
        "Worse than bm25: glove.",
        "Pareto front of quality and time a query, where no other system is as good for less: "
        "glove, bm25 and minilm.",
        "Pareto front of quality and time to build, where no other system is as good for less: "
        "bm25 and minilm.",
    ]


def test_titles_of_the_headline():
    made = replace(three(), rows={n: r for n, r in three().rows.items() if n != "minilm"})
    assert headline(made).title == "bm25 is best in nDCG@10 (0.500)."
    assert headline(made).sentences[0] == "Worse than bm25: glove."
    assert headline(unjudged()).title == "3 systems answered 2 queries."
    made = only(three(), "bm25", "glove")
    rows = {name: replace(row, quality={"nDCG@10": 0.5}) for name, row in made.rows.items()}
    assert headline(replace(made, rows=rows)).title == "bm25 and glove are best in nDCG@10 (0.500)."
    said = headline(only(three(), "minilm"))
    assert (said.title, said.sentences) == ("minilm reaches 0.625 in nDCG@10.", [])


def with_judgments(query_id, judgments):
    made = three()
    lost = replace(made.queries[query_id], judgments=judgments)
    return replace(made, queries=made.queries | {query_id: lost})


def with_better_minilm():
    made = three()
    better = {"nDCG@10": difference(0.125, 0.05, 0.2, 0.002)}
    minilm = replace(made.rows["minilm"], differences=better)
    return replace(made, rows=made.rows | {"minilm": minilm})


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (
            with_better_minilm(),
            "minilm is better than the baseline, bm25 (0.500): +0.125, "
            "95 % interval +0.050 to +0.200.",
        ),
        (
            only(three(), "bm25", "glove"),
            "No baseline was given, so no differences from one are listed.",
        ),
        (
            unjudged(),
            "glove and minilm agree most (overlap@3 0.750), bm25 and minilm least (0.250).",
        ),
        (only(unjudged(), "bm25", "glove"), "bm25 and glove have an overlap@3 of 0.500."),
        (
            with_judgments("q1", {"nowhere": 1}),
            "For 1 query no system found a relevant document: check its label.",
        ),
    ],
)
def test_sentences_of_the_headline(made, sentence):
    assert sentence in headline(made).sentences


def test_differences_have_a_sign_and_zero_has_none():
    found = [signed(0.0456), signed(-0.0456), signed(-0.0004), signed(0.5, 1)]
    assert found == ["+0.046", "−0.046", "0.000", "+0.5"]
    assert [join_names(["a"]), join_names(["a", "b", "c"])] == ["a", "a, b and c"]


@pytest.mark.parametrize(
    ("queries", "said"), [(1, "1 query"), (99, "99 queries"), (1251, "1,300 queries")]
)
def test_the_queries_needed_have_two_digits(queries, said):
    assert needed(difference(0.1, -1, 1, 0.5, queries)) == f"about {said} needed to distinguish"
    assert needed(difference(0.1, 0, 1, 0.01, queries)) == ""
    assert needed(difference(0.1, -1, 1, 0.5, None)) == ""


def test_tables_of_quality_differences_and_losses():
    html = page(three())
    name = "Quality, higher is better; under it the difference to bm25"
    assert lines(html, name) == [
        "nDCG@10",
        "bm25 · 0.5000",
        "glove · 0.2500|▼ −0.250|worse than bm25",
        "minilm · 0.6250|≈ +0.125|not distinguishable from bm25",
    ]
    rows = tables(html)[name].items()
    bold = [row for row, cells in rows if cells["nDCG@10"].find("strong") is not None]
    assert bold == ["minilm"]
    assert lines(html, "nDCG@10, difference to bm25") == [
        "Difference · 95 % interval · p · p, Holm · Wins / ties / losses · Verdict",
        "glove · −0.2500 · −0.400 to −0.100 · 0.005 · 0.010 · 0 / 1 / 2 · ▼ worse",
        "minilm · +0.1250 · −0.050 to +0.300 · 0.200 · 0.400 · 1 / 1 / 0 · "
        "≈ not distinguishable|about 1,200 queries needed to distinguish",
    ]
    assert lines(html, "Quality lost by the model and by the index") == [
        "nDCG@10, exact search · nDCG@10, this index · lost by the index · ann_recall@3",
        "minilm · 0.6500 · 0.6250 · +0.0250 · 0.980",
    ]


def test_tables_of_costs_and_of_agreement():
    html = page(three())
    found = lines(html, "Answering: one query alone, milliseconds, p50 / p95 / p99")
    assert found[:2] == [
        "Encoding · Searching · Fetching · All · Queries/s, as a batch · Pareto front",
        "bm25 · 0.50|1.00 / 2.00 · 0.50|1.00 / 2.00 · 0.00|0.00 / 0.00 · 1.00|2.00 / 4.00 · "
        "1,200 · yes",
    ]
    columns, _, glove, _ = lines(html, "Building and keeping")
    assert columns == (
        "Embedding, s · Indexing, s · Documents/s · Tokens/s · Memory, building · Memory, open · "
        "On disk · Bytes a document · Pareto front"
    )
    assert glove == "glove · 4.00 · 0.00 · 25 · - · 5.0 MB · - · 200.0 kB · 2,000 · -"
    name = "Similarity of the results: overlap@3, and rank-biased overlap under it"
    assert lines(html, name) == [
        "bm25 · glove · minilm",
        "bm25 · - · 0.500|0.400 · 0.250|0.200",
        "glove · 0.500|0.400 · - · 0.750|0.600",
        "minilm · 0.250|0.200 · 0.750|0.600 · -",
    ]


def test_a_page_has_the_sections_that_its_comparison_has_values_for():
    html = page(unjudged())
    assert sections(html) == ["cost", "agreement", "explorer", "certificate"]
    assert "nDCG" not in html.split("<script")[0]
    assert data_of(html)["queries"][0]["values"] == []
    assert "Pareto front" not in html
    # Without a baseline there are no differences.
    html = page(only(three(), "bm25", "minilm"))
    assert sections(html) == ["quality", "cost", "agreement", "explorer", "certificate"]
    assert lines(html, "Quality, higher is better")[-1] == "minilm · 0.6250"
    # One system has no agreement.
    html = page(only(three(), "minilm"))
    assert sections(html) == ["quality", "cost", "explorer", "certificate"]
    assert data_of(html)["pair"] is None
    cell = tables(html)["Quality, higher is better"]["minilm"]["nDCG@10"]
    assert cell.find("strong") is None


def test_a_run_from_a_file_has_no_cost():
    made = three()
    rows = {"theirs": row("theirs", 0.7, "run", "run")} | dict(made.rows)
    made = replace(
        made,
        rows=rows,
        pairwise=dict.fromkeys(combinations(rows, 2), Agreement(0.5, 0.5)),
        per_query=made.per_query | {"theirs": {"nDCG@10": {"q1": 1.0}}},
        runs=made.runs | {"theirs": replace(made.runs["bm25"], name="theirs")},
    )
    html = page(made)
    assert headline(made).title.startswith("theirs is best")
    assert list(tables(html)["Building and keeping"]) == ["bm25", "glove", "minilm"]
    assert data_of(html)["queries"][1]["values"] == [[None, 0.0, 0.0, 1.0]]


def test_runs_alone_or_nothing_make_a_page_without_costs_and_plots():
    queries = [Query("q", "one query", {"d": 1})]
    made = compared([row("a", 1.0, "run", "run")], {"a": {"q": 1.0}}, {"a": {"q": ["d"]}}, queries)
    html = page(made)
    assert sections(html) == ["quality", "explorer", "certificate"]
    assert re.findall(r'<title id="(\w+)-wide-title"', html) == ["depth"]
    empty = page(compared([], {}, {}, []))
    assert sections(empty) == ["explorer", "certificate"]
    assert "Nothing was compared." in empty


def test_a_query_with_its_values_ranks_and_hits():
    data = data_of(page(three()))
    names = [document[0] for document in data["documents"]]
    assert [system["name"] for system in data["systems"]] == ["bm25", "glove", "minilm"]
    assert data["measures"] == ["nDCG@10"]
    first, second = data["queries"]
    assert first["values"] == [[1.0, 0.5, 0.25]]
    ranks = [(names[at], grade, ranks) for at, grade, ranks in first["ranks"]]
    assert ranks == [("cat", 2, [1, 2, 3])]
    assert second["ranks"][0][2] == [None, None, 1]
    hits = [[names[at] for at, _ in hits] for hits in first["hits"]]
    assert hits == [["cat", "dog"], ["dog", "cat"], ["dog", "car", "cat"]]
    assert first["hits"][2][2][1] == 0.33333
    assert second["unknown"] == [["glove", ["taxes"]]]
    assert first["matched"] == ["cat", "purrs"]


def test_only_the_first_k_hits_are_on_the_page_which_opens_with_the_contrasted_systems():
    data = explorer_data(three(k=1))
    assert [len(hits) for hits in data["queries"][0]["hits"]] == [1, 1, 1]
    assert [document[0] for document in data["documents"]] == ["cat", "dog", "tax"]
    assert explorer_data(three())["pair"] == ["glove", "minilm"]
    assert explorer_data(only(three(), "bm25", "minilm"))["pair"] == ["bm25", "minilm"]


def test_a_query_that_no_system_answers_is_marked():
    data = explorer_data(with_judgments("q2", {"nowhere": 1}))
    assert [query["missed"] for query in data["queries"]] == [False, True]
    assert data["documents"][data["queries"][1]["ranks"][0][0]] == ["nowhere", "", ""]


def test_nan_and_infinity_are_null_in_json():
    made = three()
    values = {"bm25": {"nDCG@10": {"q1": math.nan, "q2": math.inf}}}
    data = explorer_data(replace(made, per_query=made.per_query | values))
    assert [query["values"][0][0] for query in data["queries"]] == [None, None]


def test_no_text_becomes_markup():
    queries = [Query(HOSTILE, HOSTILE, {HOSTILE: 1}, {HOSTILE: [HOSTILE]}, frozenset({HOSTILE}))]
    rows = [row(name, 0.5, latency=latency(1), cost=cost(1)) for name in (HOSTILE, "b")]
    made = compared(
        rows,
        {HOSTILE: {HOSTILE: 1.0}, "b": {HOSTILE: 0.5}},
        {HOSTILE: {HOSTILE: [HOSTILE]}},
        queries,
        documents={HOSTILE: Excerpt(HOSTILE, HOSTILE)},
        pairwise={(HOSTILE, "b"): Agreement(0.5, 0.5)},
        notes=[HOSTILE],
        environment={HOSTILE: HOSTILE, "command": HOSTILE},
    )
    html = page(made)
    assert "alert(1)</script>" not in html
    assert html.count("<script") == html.count("</script>") == 2
    assert "<!--" not in html
    assert data_of(html)["documents"] == [[HOSTILE, HOSTILE, HOSTILE]]


def test_the_page_has_the_certificate_and_the_notes_and_needs_no_network():
    environment = {"seed": "7", "command": "retriever a", "collection": "caf\udce9"}
    html = page(three(notes=["2 documents are empty.", "\ud800"], environment=environment))
    assert "<li>2 documents are empty.</li>" in html
    assert "<dt>seed</dt><dd>7</dd>" in html
    assert "<code>retriever a</code>" in html
    # UTF-8 has no lone surrogates.
    assert "caf?" in html
    html = page(three())
    assert not re.search(r"(src|href)=\"(?!#|data:)", html)
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|innerHTML", html)
    assert "default-src 'none'" in html


def test_images_are_small_copies_and_one_that_cannot_be_shown_is_its_words(tmp_path):
    (tmp_path / "car.png").write_bytes(picture())
    car = Image.of(tmp_path / "car.png")
    (tmp_path / "car.png").unlink()
    images = {"cat": Image.of(picture(size=(200, 100))), "dog": Image.of(b"no image"), "car": car}
    made = illustrated(three(notes=["a note"]), images, {"q2": Image.of(picture())})
    html = page(made)
    data = data_of(html)
    assert [document[0] for document in data["documents"]] == ["cat", "dog", "car", "tax"]
    alt, uri, *size = data["images"]["0"]
    assert (alt, uri[:23], size) == ("The cat", "data:image/jpeg;base64,", [96, 48])
    assert data["images"] == {"0": [alt, uri, *size], "1": ["A dog barks."], "2": ["Cars"]}
    first, second = (query["image"] for query in data["queries"])
    assert (first, second[0], second[2:]) == (None, "image", [4, 3])
    said = "2 images are missing, changed or damaged, and not shown. `retriever verify` names them."
    assert re.findall("<li>(.*?)</li>", html) == ["a note", said]
    assert html.count("data:image/") == 2
    assert "data:image/" not in page(made.without_texts())
    assert "not shown" not in page(made.without_texts())


def test_without_pillow_the_page_says_so_and_calls_no_image_damaged(monkeypatch):
    monkeypatch.setattr(check.importlib.util, "find_spec", lambda name: None)
    html = page(illustrated(three(), {"cat": Image.of(picture())}, {}))
    said = "No image is shown. Images need Pillow, which is not installed. Run: pip install "
    assert [unescape(note) for note in re.findall("<li>(.*?)</li>", html)] == [
        f"{said}'retriever-compare[images]'."
    ]


def test_a_page_has_a_limited_number_of_images(monkeypatch):
    monkeypatch.setattr("retriever.report.html.thumbnails.MOST", 2)
    images = {doc_id: Image.of(picture()) for doc_id in three().documents}
    html = page(illustrated(three(), images, {"q1": Image.of(picture())}))
    data = data_of(html)
    assert [query["image"] is None for query in data["queries"]] == [False, True]
    assert list(data["images"]) == ["0"]
    assert "<li>The page shows 2 of 5 images, in the order of the queries.</li>" in html


def test_the_page_is_written_completely_or_not_at_all(tmp_path):
    made = three(environment={"collection": "caf\udce9"}, notes=["\ud800"])
    write_page(made, tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text("utf-8") == page(made)
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    refused(InputError, "cannot be written", write_page, made, tmp_path / "none" / "page.html")


def test_the_page_has_a_table_of_all_pairs_with_both_signs():
    sure = difference(0.25, 0.1, 0.4, 0.01)
    made = only(three(), "bm25", "glove")
    html = page(replace(made, pairs={("bm25", "glove"): {"nDCG@10": sure}}))
    assert lines(html, "nDCG@10, all pairs: row minus column") == [
        "bm25 · glove",
        "bm25 · - · +0.250|▲ p 0.010|better, row minus column",
        "glove · −0.250|▼ p 0.010|worse, row minus column · -",
    ]
    assert "all pairs" not in page(made)


def test_numbers_of_a_column_have_as_many_decimals():
    made = three()
    slow = replace(made.rows["minilm"], latency=latency(134.2), cost=cost(134.26))
    html = page(replace(made, rows=made.rows | {"minilm": slow}))
    rows = tables(html)["Answering: one query alone, milliseconds, p50 / p95 / p99"]
    shown = ["".join(cells["All"].itertext()) for cells in rows.values()]
    assert shown == ["1.002.00 / 4.00", "0.100.20 / 0.40", "134.20268.40 / 536.80"]
    built = tables(html)["Building and keeping"]["minilm"]["Embedding, s"]
    assert "".join(built.itertext()) == "134.26"
