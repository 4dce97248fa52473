import io
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console

from indexes.errors import pluralize
from retriever import Collection, Hit, Hits, compare
from retriever.evaluation.results import Agreement, Latency, Query, Spread
from retriever.formatting import count, decimals, format_bytes, percentage
from retriever.report.lines import label_of
from retriever.report.terminal.collection import info_table
from retriever.report.terminal.comparison import comparison_tables, plain_comparison
from retriever.report.terminal.hits import hits_list, side_by_side
from tests.support.toy import COMPASS, HALF, QRELS, QUERIES, Axes

CJK = "検索エンジンは文書を探す。" * 20
EMOJI = "🐈 a cat 👩‍👩‍👧 and 🇩🇪 flags 👍🏽 " * 20
LONG = "n" * 64


def drawn(parts, width=100):
    """Return the lines that a terminal of that width shows, without trailing blanks."""
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    for part in parts:
        console.print(part)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def bold(table):
    """Return the bold cells of a table that are not headings."""
    table.show_header = False
    console = Console(width=100, force_terminal=True)
    return [
        segment.text.strip()
        for segment in console.render(table)
        if segment.style and segment.style.bold and segment.style.color is None
    ]


def hit(rank, doc_id, text="some text", score=0.5, title=""):
    return Hit(rank, doc_id, score, text, title)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *[(0, "-"), (1, "1 B"), (999, "999 B")],
        *[(1000, "1.0 kB"), (1536, "1.5 kB"), (999_940, "999.9 kB")],
        *[(999_960, "1.0 MB"), (7_900_000, "7.9 MB")],
        *[(999_990_000, "1.00 GB"), (12_345_000_000, "12.35 GB")],
        (1_234_000_000_000, "1,234.00 GB"),
    ],
)
def test_bytes_are_in_decimal_units(value, text):
    assert format_bytes(value) == text


def test_numbers_percentages_plurals_and_names_of_measures():
    assert decimals(4)(0.64512) == "0.6451"
    assert decimals(2)(12345.678) == "12,345.68"
    assert decimals(0)(2.0) == "2"
    assert (count(1234567.8), count(0)) == ("1,234,568", "0")
    percentages = [percentage(value) for value in (None, 0, 0.12345, 1)]
    assert percentages == ["-", "0.0 %", "12.3 %", "100.0 %"]
    assert pluralize(1, "query", "queries") == "1 query"
    assert pluralize(0, "query", "queries") == "0 queries"
    assert pluralize(2000, "query", "queries") == "2,000 queries"
    names = {"R@100": "recall@100", "RR@10": "MRR@10", "nDCG@10": "nDCG@10", "ERR@20": "ERR@20"}
    assert {measure: label_of(measure) for measure in names} == names


def test_hits_are_one_a_line():
    hits = Hits((hit(1, "cat", "purrs", 0.98765), hit(12, "engine", "idles", -0.25, "Engines")))
    assert drawn(hits_list(hits)) == [
        "  1   0.988  cat     purrs",
        " 12  -0.250  engine  Engines idles",
    ]
    assert drawn(hits_list(Hits())) == ["  no hits"]
    assert drawn(side_by_side({"a": Hits(), "b": Hits()})) == ["  no hits"]


def test_long_texts_and_ids_end_in_an_ellipsis_and_brackets_and_colons_are_no_markup():
    (line,) = drawn(hits_list(Hits((hit(1, "d", "word " * 100),))))
    assert line == "  1   0.500  d  " + ("word " * 100)[:83] + "…"
    assert cell_len(line) == 100
    (line,) = drawn(hits_list(Hits((hit(1, "i" * 80, "text"),))))
    assert line == f"  1   0.500  {'i' * 23}…  text"
    (line,) = drawn(hits_list(Hits((hit(1, "[b]", "[red]x[/b] :cat:"),))))
    assert line == "  1   0.500  [b]  [red]x[/b] :cat:"


@pytest.mark.parametrize("text", [CJK, EMOJI, "x" * 500, "", "\n\n a \t b \n", "\u0301" * 50])
@pytest.mark.parametrize("doc_id", ["d", "長い" * 40, "🐈" * 40, "i" * 300])
def test_no_hit_is_wider_than_100_columns(text, doc_id):
    hits = Hits((hit(1, doc_id, text), hit(2, "other", text, title=text)))
    for lines in (hits_list(hits), side_by_side({"one": hits, "two": Hits()})):
        for line in lines:
            assert line.cell_len <= 100
            assert "\n" not in line.plain


def test_control_characters_of_a_document_do_not_reach_the_terminal():
    evil = "\x1b[31mred\x1b]0;title\x07\r\x9b2J end"
    for lines in (hits_list, lambda hits: side_by_side({"a": hits, "b": hits})):
        text = "".join(line.plain for line in lines(Hits((hit(1, "id\x1b[2J\nx", evil),))))
        assert text.isprintable()
        assert "[31mred ]0;title 2J end" in text
        assert "id [2J x" in text


def hits_of(*doc_ids):
    return Hits(tuple(hit(rank, d, f"text of {d}") for rank, d in enumerate(doc_ids, start=1)))


def test_two_or_three_indexes_side_by_side():
    answers = {"glove": hits_of("a", "b", "c"), "minilm": hits_of("d", "b", "a")}
    assert drawn(side_by_side(answers)) == [
        "found by both (2)",
        "  glove   1  minilm   3  a  text of a",
        "  glove   2  minilm   2  b  text of b",
        "found by glove only (1)",
        "  glove   3  minilm   -  c  text of c",
        "found by minilm only (1)",
        "  glove   -  minilm   1  d  text of d",
    ]
    same = hits_of("a", "b")
    first, *others = drawn(side_by_side({"x": same, "y": same}))
    assert (first, len(others)) == ("found by both (2)", 2)
    answers = {"x": hits_of("a", "b"), "y": hits_of("b", "c"), "z": hits_of("c", "b")}
    assert drawn(side_by_side(answers)) == [
        "found by all (1)",
        "  x   2  y   1  z   2  b  text of b",
        "found by y and z only (1)",
        "  x   -  y   2  z   1  c  text of c",
        "found by x only (1)",
        "  x   1  y   -  z   -  a  text of a",
    ]
    # Documents with equal best ranks are in the order of the first index.
    answers = {"x": hits_of("a", "b"), "y": hits_of("b", "a")}
    assert [line[-1] for line in drawn(side_by_side(answers))[1:]] == ["a", "b"]
    swapped = {"y": answers["y"], "x": answers["x"]}
    assert [line[-1] for line in drawn(side_by_side(swapped))[1:]] == ["b", "a"]


def test_names_too_long_for_a_line_are_replaced_by_letters():
    answers = {LONG: hits_of("d"), "m" * 64: hits_of("d")}
    assert drawn(side_by_side(answers)) == [
        f"  a = {LONG}",
        f"  b = {'m' * 64}",
        "found by both (1)",
        "  a   1  b   1  d  text of d",
    ]


@pytest.mark.parametrize("indexes", [1, 2, 5, 9])
@pytest.mark.parametrize("name", ["i", LONG[:-1]])
@pytest.mark.parametrize("doc_id", ["d", "i" * 300, "長い" * 40])
def test_no_line_side_by_side_is_wider_than_100_columns(indexes, name, doc_id):
    answers = {
        f"{name}{n}": Hits((hit(1, doc_id, CJK), hit(2, f"only {n}", EMOJI)))
        for n in range(indexes)
    }
    lines = list(side_by_side(answers))
    assert max(line.cell_len for line in lines) <= 100
    assert sum("found by" in line.plain for line in lines) == (indexes + 1 if indexes > 1 else 1)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A collection with two indexes."""
    with Collection.create(tmp_path_factory.mktemp("report") / "c") as collection:
        collection.add(COMPASS)
        collection.build("axes", Axes())
        collection.build("half", Axes("half", words=HALF))
        yield collection


@pytest.fixture(scope="module")
def base(two):
    """A judged comparison of the two indexes, without the verdict above its tables."""
    return replace(compare(two, ["axes", "half"], QUERIES, QRELS), verdict=None)


def cells_by_label(lines):
    """Return the last two words of the lines by the words before them."""
    return {" ".join(line.split()[:-2]): line.split()[-2:] for line in lines}


def several(base, names, quality):
    """A comparison like `base` of indexes of those names, with these values of one measure."""
    row = base.rows["axes"]
    spread = Spread(*[12345.678] * 3)
    latency = Latency(spread, spread, spread, spread, (12345.678,) * 30)
    cost = replace(row.cost, embedding_seconds=1.5, indexing_seconds=0.25, disk_size=2048)
    cost = replace(cost, building_memory=1, documents_per_second=2, disk_size_per_document=3)
    row = replace(row, latency=latency, cost=cost, throughput=7)
    rows = {
        name: replace(row, name=name, quality={"nDCG@10": value})
        for name, value in zip(names, quality, strict=True)
    }
    pairs = {(a, b): Agreement(0.125, 0.25) for a in names for b in names if a < b}
    notes = ("a note " * 40,)
    return replace(base, measures=("nDCG@10",), rows=rows, pairwise=pairs, notes=notes)


def test_print_shows_every_value(base):
    text = str(base)
    lines = cells_by_label(text.splitlines())
    assert text.splitlines()[0] == "2 judged queries, 5 documents"
    assert text.splitlines()[1].split() == ["axes", "half"]
    assert lines["nDCG@10"] == ["0.6309", "0.5000"]
    assert lines["recall@10"] == lines["recall@100"] == ["1.0000", "0.5000"]
    assert lines["MRR@10"] == ["0.5000", "0.5000"]
    alike = base.agreement("axes", "half")
    shown = f"{alike.overlap:.2f} / {alike.rbo:.2f}"
    pair = next(line for line in text.splitlines() if "RBO with axes" in line)
    assert pair.split() == ["overlap@10", "/", "RBO", "with", "axes", "-", *shown.split()]
    assert alike.overlap == 0.375
    assert lines["ann_recall@10 (of exact)"] == ["1.000", "1.000"]
    assert "words known" not in text  # neither of them counts words
    assert text.splitlines()[-2:] == [f"note: {note}" for note in base.notes]
    latency = base.rows["half"].latency
    total = next(line for line in text.splitlines() if line.startswith("  total"))
    assert total.endswith(f"{latency.total.p50:.2f} / {latency.total.p95:.2f}")
    assert text == plain_comparison(base)


def test_without_judgments_there_is_no_quality(base):
    rows = {name: replace(row, quality={}) for name, row in base.rows.items()}
    text = str(replace(base, measures=(), rows=rows, queries={"q": Query("q", "north")}))
    assert "quality" not in text
    assert text.splitlines()[0] == "1 query, 5 documents"


@pytest.mark.parametrize("indexes", [1, 2, 5, 9])
@pytest.mark.parametrize("name", ["i", "averaged-glove-vectors-", LONG[:-1]])
def test_no_line_of_a_comparison_is_wider_than_100_columns(base, indexes, name):
    names = [f"{name}{n}" for n in range(indexes)]
    report = several(base, names, [0.5] * indexes)
    lines = str(report).splitlines()
    assert max(map(cell_len, lines)) <= 100
    # Nothing is cut off: every index has its value in a line, four of them in a table.
    values = [line.split()[1:] for line in lines if line.startswith("  nDCG@10")]
    shared_out = {1: [1], 2: [2], 5: [3, 2], 9: [3, 3, 3]}
    assert [len(row) for row in values] == shared_out[indexes]
    assert "…" not in str(report)
    assert str(report).count("12,345.68") == 9 * indexes


def test_long_names_are_complete_over_several_lines(base):
    report = several(base, [f"{LONG[:-1]}{n}" for n in range(4)], [0.5] * 4)
    header = str(report).splitlines()[1:6]
    columns = ["".join(line[at : at + 15] for line in header) for at in (34, 51, 68, 85)]
    assert [column.replace(" ", "") for column in columns] == list(report.rows)


@pytest.mark.parametrize(
    ("qualities", "expected"),
    [
        ([0.1, 0.3, 0.2], [["0.3000"]]),
        # Values that look alike are all best, or none is.
        ([0.30001, 0.30002, 0.2], [["0.3000", "0.3000"]]),
        ([0.3, 0.3], [[]]),
        # The best of all, whichever table it is in.
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9], [[], [], ["0.9000"]]),
    ],
)
def test_the_best_value_is_bold(base, qualities, expected):
    report = several(base, "abcdefghi"[: len(qualities)], qualities)
    assert [bold(table) for table in comparison_tables(report)] == expected


def test_less_time_is_better(base):
    report = several(base, ["a", "b"], [0.5, 0.5])
    quick = replace(report.rows["b"].latency, total=Spread(1.0, 12345.678, 12345.678))
    rows = {**report.rows, "b": replace(report.rows["b"], latency=quick)}
    (table,) = comparison_tables(replace(report, rows=rows))
    assert bold(table) == ["1.00"]


def test_the_indexes_of_a_collection_are_columns_of_a_table(two):
    info = two.info()
    lines = drawn(info_table(info))
    assert lines[0].startswith(f"{info.path}/: 5 documents, catalog ")
    cells = cells_by_label(lines)
    assert cells["passages found"] == ["4", "3"]
    assert cells["nothing to embed"] == ["1", "2"]
    assert cells["embedder"] == ["custom:Axes", "custom:Axes"]
    assert cells["structure"] == ["Flat", "Flat"]
    lines = drawn(info_table(replace(info, documents=1, catalog_size=1000, indexes=())))
    assert lines == [f"{info.path}/: 1 document, catalog 1.0 kB", "no index yet"]


@pytest.mark.parametrize("indexes", [1, 2, 5, 9])
def test_no_line_of_a_collection_is_wider_than_100_columns(two, indexes):
    info = two.info()
    rows = tuple(
        replace(
            info.indexes[0],
            name=f"{LONG[:-1]}{n}",
            embedder="static:/a[b]/" + "p" * 200,
            vectors_shared_with=(LONG, LONG),
        )
        for n in range(indexes)
    )
    table = drawn(info_table(replace(info, indexes=rows)))
    assert max(map(cell_len, table[1:])) <= 100
    assert "/a[b]/" in "".join("".join(table).split())
