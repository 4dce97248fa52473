"""A comparison's numbers out of here: JSON lines, CSV, pandas, the table, the command line."""

import csv
import io
import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from retriever import Collection, HashingEmbedder, Run, compare
from retriever.evaluation.results import Agreement, Query
from retriever.report.terminal.comparison import comparison_tables, plain_comparison
from tests.support.commands import invoke
from tests.support.samples import compared, difference, only, row, three, unjudged
from tests.support.toy import COMPASS, Axes

QUERIES = {"q1": "north", "q2": "up"}
QRELS = {"q1": {"all": 1}, "q2": {"u": 1}}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Every kind of system at once: exact, ann, lexical, fused, cascaded, a run from elsewhere."""
    with Collection.create(tmp_path_factory.mktemp("made") / "c") as collection:
        collection.add(COMPASS)
        collection.build("axes", Axes())
        collection.build("graph", vectors="axes", ann="HNSW8")
        collection.build("bm25", lexical=True)
        collection.fuse("fused", ["axes", "bm25"])
        collection.cascade("cascade", "bm25", "axes")
        other = Run.of("Søren's, run", {"q1": [("all", 1.0)]})
        names = ["axes", "graph", "bm25", "fused", "cascade"]
        yield compare(collection, names, QUERIES, QRELS, baseline="bm25", runs={other.name: other})


def strict(line):
    """JSON as the standard has it: no NaN, no Infinity."""

    def refuse(constant):
        raise AssertionError(constant)

    return json.loads(line, parse_constant=refuse)


# -- JSON lines -----------------------------------------------------------------------------------


def test_json_is_one_object_a_line_and_has_every_field(made):
    lines = [strict(line) for line in made.to_json().splitlines()]
    assert [line["name"] for line in lines] == list(made.rows)
    assert [line["kind"] for line in lines] == [
        "exact",
        "ann",
        "lexical",
        "fused",
        "cascaded",
        "run",
    ]
    for line, of in zip(lines, made.rows.values(), strict=True):
        assert line["quality"] == dict(of.quality)
        assert line["exact_quality"] == dict(of.exact_quality)
        assert (line["family"], line["description"]) == (of.family, of.description)
        assert (line["ann_recall"], line["throughput"]) == (of.ann_recall, of.throughput)
        assert line["cost"] == (asdict(of.cost) if of.cost else None)
        assert list(line["agreement"]) == [name for name in made.rows if name != of.name]
        assert (line["k"], line["queries"], line["baseline"]) == (10, 2, "bm25")
        assert line["environment"] == dict(made.environment)
        fronts = made.fronts()
        assert line["on_front"] == [cost for cost in fronts if of.name in fronts[cost]]
        for measure, one in of.differences.items():
            assert line["differences"][measure] == asdict(one) | {"significant": one.significant}
    assert "totals" not in lines[0]["latency"]
    assert lines[0]["latency"]["total"] == asdict(made.rows["axes"].latency.total)
    assert (lines[-1]["latency"], lines[-1]["cost"]) == (None, None)


def test_json_without_judgments_has_no_qualities():
    for line in map(strict, unjudged().to_json().splitlines()):
        assert (line["quality"], line["differences"], line["on_front"]) == ({}, {}, [])
        assert line["baseline"] is None


# -- CSV and pandas -------------------------------------------------------------------------------


def test_csv_is_a_line_a_number_that_reads_back_as_it_is(made):
    header, *lines = csv.reader(io.StringIO(made.to_csv()))
    assert header == ["system", "what", "value"]
    found = {(system, what): value for system, what, value in lines}
    assert len(found) == len(lines)
    for name, of in made.rows.items():
        for measure, value in of.quality.items():
            assert float(found[name, f"quality.{measure}"]) == value
        for measure, one in of.differences.items():
            assert float(found[name, f"difference.{measure}.p_holm"]) == one.p_holm
            assert found[name, f"difference.{measure}.significant"] == str(one.significant)
        if of.latency:
            assert float(found[name, "latency_ms.total.p95"]) == of.latency.total.p95
            assert int(found[name, "cost.disk_size"]) == of.cost.disk_size
            assert found[name, "on_front.latency"] in ("True", "False")
    assert float(found["graph", "exact_quality.RR@10"]) == 0.75
    assert found["graph", "ann_recall@10"] == "1.0"
    assert (
        float(found["Søren's, run", "agreement.axes.overlap"])
        == made.agreement("axes", "Søren's, run").overlap
    )
    assert not [what for name, what in found if name == "Søren's, run" and "cost" in what]
    assert all(math.isfinite(float(v)) for v in found.values() if v not in ("True", "False"))


def test_a_data_frame_has_a_system_a_row_and_the_names_of_the_csv(made):
    pytest.importorskip("pandas")
    frame = made.to_pandas()
    assert list(frame.index) == list(made.rows)
    _, *lines = csv.reader(io.StringIO(made.to_csv()))
    assert list(frame.columns) == list(dict.fromkeys(what for _, what, _ in lines))
    assert frame.loc["axes", "quality.RR@10"] == 0.75
    assert frame.loc["bm25", "cost.disk_size"] == made.rows["bm25"].cost.disk_size
    assert math.isnan(frame.loc["Søren's, run", "cost.disk_size"])
    assert frame.sort_values("latency_ms.total.p50").shape == frame.shape


# -- the table ------------------------------------------------------------------------------------


def lines_of(comparison):
    """The lines of a table by their labels, as words."""
    lines = plain_comparison(comparison).splitlines()
    return {line[:32].strip(): line[32:].split() for line in lines if line.startswith("  ")}


def bold_cells(comparison, label):
    """Which systems' cells of a line are bold."""
    found = []
    for table in comparison_tables(comparison):
        labels = [getattr(cell, "renderable", cell).plain for cell in table.columns[0]._cells]
        at = labels.index(label)
        for column in table.columns[1:]:
            text = list(column._cells)[at]
            if text.style == "bold" or any(span.style == "bold" for span in text.spans):
                found.append(column.header.plain)
    return found


def test_marks_bold_and_verdicts_are_as_worked_out_by_hand():
    made = three()
    assert lines_of(made)["nDCG@10"] == ["0.5000", "0.2500▼", "0.6250"]
    assert bold_cells(made, "nDCG@10") == ["minilm"]
    text = plain_comparison(made)
    assert text.startswith(
        "2 judged queries, 100 documents; ▲▼ significantly different from bm25\n"
    )
    assert "nDCG@10 against bm25\n" in text
    lines = lines_of(made)
    assert lines["difference"] == ["-", "-0.2500", "+0.1250"]
    assert lines["95 % interval"] == ["-", "-0.400", "-0.100", "-0.050", "+0.300"]
    assert lines["p, by Holm"] == ["-", "0.0100", "0.4000"]
    assert " ".join(lines["wins / ties / losses"]) == "- 0 / 1 / 2 1 / 1 / 0"
    assert lines["queries to distinguish"] == ["-", "99", "1,234"]
    assert "baseline worse not distinguishable" in " ".join(text.split())
    assert lines["nDCG@10, exact search"] == ["-", "-", "0.6500"]
    assert lines["... lost by the index"] == ["-", "-", "0.0250"]
    assert lines["latency"] == ["●", "●", "●"]
    assert lines["building time"] == ["●", "-", "●"]
    assert bold_cells(made, "total, p99") == ["glove"]
    assert bold_cells(made, "queries a second") == ["glove"]
    better = replace(
        made.rows["minilm"], differences={"nDCG@10": difference(0.125, 0.05, 0.2, 0.01)}
    )
    lines = lines_of(replace(made, rows=made.rows | {"minilm": better}))
    assert lines["nDCG@10"] == ["0.5000", "0.2500▼", "0.6250▲"]


def test_values_that_are_drawn_alike_are_all_best_or_none():
    made = only(three(), "bm25", "glove", "minilm")

    def with_qualities(*values):
        rows = zip(made.rows.items(), values, strict=True)
        return replace(
            made, rows={name: replace(r, quality={"nDCG@10": value}) for (name, r), value in rows}
        )

    assert bold_cells(with_qualities(0.5, 0.50001, 0.2), "nDCG@10") == ["bm25", "glove"]
    assert bold_cells(with_qualities(0.5, 0.50001, 0.5), "nDCG@10") == []


def test_without_judgments_only_agreement_and_cost_are_drawn():
    text = plain_comparison(unjudged())
    assert text.startswith("2 queries, 100 documents\n")
    for absent in ("quality", "nDCG", "against", "lost", "front", "▲"):
        assert absent not in text
    agreeing = lines_of(unjudged())["overlap@3 / RBO with glove"]
    assert " ".join(agreeing) == "0.50 / 0.40 - 0.75 / 0.60"


def test_one_system_and_one_query_make_a_table_too(tmp_path):
    with Collection.create(tmp_path / "c") as collection:
        collection.add(COMPASS)
        collection.build("bm25", lexical=True)
        text = str(compare(collection, ["bm25"], {"q": "north"}, {"q": {"n": 1}}))
        assert text.startswith("1 judged query, 5 documents\n")
        assert "overlap" not in text
        text = str(compare(collection, ["bm25"], {"q": "north"}))
        assert text.startswith("1 query, 5 documents\n")
        # With a baseline there is nobody to compare with it.
        text = str(compare(collection, ["bm25"], {"q": "north"}, {"q": {"n": 1}}, baseline="bm25"))
        assert "1 judged query" in text


NAMES = [
    "a-very-long-name-for-a-system-which-is-as-long-as-a-name-can-be1",
    *(f"system-number-{n}-of-seven" for n in range(2, 7)),
    "名前の長いシステム名前の長いシステム名前の長いシステム",
]


def seven(**rest):
    rows = [
        row(
            name,
            0.5 + n / 100,
            differences={} if n == 0 else {"nDCG@10": difference(n / 100, -0.123, 0.456, 0.04)},
            latency=three().rows["minilm"].latency,
            cost=three().rows["minilm"].cost,
            throughput=123_456_789.0,
        )
        for n, name in enumerate(NAMES)
    ]
    pairs = {(a, b): Agreement(1.0, 1.0) for i, a in enumerate(NAMES) for b in NAMES[i + 1 :]}
    values = {name: {"q1": 0.5} for name in NAMES}
    queries = [Query("q1", "why?", {"cat": 1})]
    return compared(rows, values, {}, queries, baseline=NAMES[0], pairwise=pairs, **rest)


def test_seven_systems_with_long_names_fit_a_hundred_columns():
    made = seven(notes=("a note " * 40,))
    text = plain_comparison(made)
    assert max(map(cell_len, text.splitlines())) <= 100
    joined = "".join(text.split())
    for name in NAMES[1:6]:
        assert name in joined
    # Two tables, four systems and three, alike in their lines, the best bold in one of them.
    tables = list(comparison_tables(made))
    assert [len(table.columns) - 1 for table in tables] == [4, 3]
    assert tables[0].row_count == tables[1].row_count
    assert bold_cells(made, "nDCG@10") == [NAMES[-1]]
    file = io.StringIO()
    console = Console(file=file, width=100, force_terminal=True, color_system="truecolor")
    for table in tables:
        console.print(table)
    assert "\x1b[1m0.5600\x1b[0m" in file.getvalue()


# -- the command line -----------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Collection.create("library") as collection:
        collection.add(COMPASS)
        collection.build("floor", HashingEmbedder())
        collection.build("bm25", lexical=True)
    Path("q.tsv").write_text("query_id\ttext\nq1\tnorth\nq2\tup\nq3\tfog\n")
    Path("j.tsv").write_text("query-id\tcorpus-id\tscore\nq1\tall\t1\nq2\tu\t1\n")
    Path("other.trec").write_text("q1 Q0 all 1 1.0 x\n")
    return tmp_path


ASK = ("compare", "library", "--queries", "q.tsv", "--qrels", "j.tsv")


def test_json_and_csv_alone_stand_on_stdout(folder):
    arguments = (*ASK, "--baseline", "bm25", "--run", "other.trec", "--why", "2", "--runs", "runs")
    done = invoke(*arguments, "--json")
    assert done.exit_code == 0
    assert [strict(line)["name"] for line in done.stdout.splitlines()] == ["floor", "bm25", "other"]
    assert done.stderr.splitlines() == [
        "note: 1 query without judgments was left out: q3.",
        "note: Run 'other' has no hits for 1 query, which count 0: q2.",
        "note: Intervals: 10,000 bootstrap resamples. p: 100,000 sign flips (all of them, up to "
        "16 queries), Holm-corrected over the systems of each measure. Seed 20240517.",
        *(f"note: wrote runs/{name}.trec" for name in ("floor", "bm25", "other")),
    ]
    done = invoke(*arguments, "--csv")
    assert done.exit_code == 0
    assert {len(line) for line in csv.reader(io.StringIO(done.stdout))} == {3}
    assert "note" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "fault"),
    [
        (("--json", "--csv"), 2, "Give --json or --csv, not both."),
        (("-k", "0"), 2, "0 is not in the range x>=1."),
        (("--why", "0"), 2, "0 is not in the range x>=1."),
        (("--seed", "-1"), 2, "-1 is not in the range x>=0."),
        (("--runs", ".", "--run", "other.trec"), 2, "--runs . would overwrite --run other.trec."),
        (("-i", "nope"), 1, "No index 'nope' in library/. It has: bm25, floor."),
        (("-m", "nope"), 1, "No measure 'nope'."),
        (("--baseline", "nope"), 1, "No system 'nope' in this comparison. It has: bm25, floor."),
        (("--run", "none.trec"), 1, "none.trec"),
        (("--run", "q.tsv"), 1, "q.tsv"),
        (("--run", "other.trec", "--run", "other.trec"), 1, "given 2 times; give it once."),
        (("-i", "bm25", "-i", "bm25"), 1, "An index is named twice: bm25, bm25."),
    ],
)
def test_what_cannot_be_done_ends_with_one_line_and_its_code(folder, arguments, code, fault):
    done = invoke(*ASK, *arguments)
    assert (done.exit_code, done.stdout) == (code, "")
    assert fault in done.stderr
    assert Path("other.trec").read_text() == "q1 Q0 all 1 1.0 x\n"


def test_queries_must_be_given_and_a_baseline_takes_judgments(folder):
    done = invoke("compare", "library")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "Give --queries FILE, or --dataset NAME." in done.stderr
    done = invoke("compare", "library", "--queries", "q.tsv", "--baseline", "bm25")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "A baseline needs judgments." in done.stderr


def test_a_file_that_cannot_be_written_loses_no_numbers(folder):
    done = invoke(*ASK, "--html", "no/such/folder.html")
    assert done.exit_code == 1
    assert "nDCG@10" in done.stdout
    assert "Error: no/such/folder.html cannot be written" in done.stderr


def test_a_label_file_that_is_there_is_told_before_the_work(folder):
    Path("labels.csv").write_text("mine")
    done = invoke(*ASK, "--label-file", "labels.csv")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "labels.csv already exists and may hold labels." in done.stderr
    assert Path("labels.csv").read_text() == "mine"


def test_a_page_is_not_written_over_what_it_was_made_from(folder):
    before = Path("q.tsv").read_text()
    done = invoke(*ASK, "--html", "q.tsv")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "--html q.tsv would overwrite q.tsv. Give another file." in done.stderr
    assert Path("q.tsv").read_text() == before
