"""Export of a comparison: JSON lines, CSV, pandas, the table, the command line."""

import csv
import io
import json
import math
import sys
from dataclasses import asdict, replace
from itertools import combinations
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from retriever import Collection, HashingEmbedder, Run, compare
from retriever.evaluation.results import Agreement, Query
from retriever.report.terminal.comparison import comparison_tables, plain_comparison
from tests.support.commands import fail, invoke, misuse, succeed
from tests.support.samples import compared, difference, only, three, unjudged
from tests.support.toy import COMPASS, Axes, build_axes

QUERIES = {"q1": "north", "q2": "up"}
QRELS = {"q1": {"all": 1}, "q2": {"u": 1}}
FOREIGN = "Søren's, run"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A comparison of every kind of system, and of a run from a file."""
    with Collection.create(tmp_path_factory.mktemp("made") / "c") as collection:
        collection.add(COMPASS)
        collection.build("axes", Axes())
        collection.build("graph", vectors="axes", ann="HNSW8")
        collection.build("bm25", lexical=True)
        collection.fuse("fused", ["axes", "bm25"])
        collection.cascade("cascade", "bm25", "axes")
        other = Run.of(FOREIGN, {"q1": [("all", 1.0)]})
        names = ["axes", "graph", "bm25", "fused", "cascade"]
        yield compare(collection, names, QUERIES, QRELS, baseline="bm25", runs={other.name: other})


def strict(line):
    """Parse JSON without NaN and Infinity, which the standard does not have."""

    def refuse(constant):
        raise AssertionError(constant)

    return json.loads(line, parse_constant=refuse)


def test_json_is_one_object_a_line_and_has_every_field(made):
    lines = [strict(line) for line in made.to_json().splitlines()]
    assert [line["name"] for line in lines] == list(made.rows)
    kinds = ["exact", "ann", "lexical", "fused", "cascaded", "run"]
    assert [line["kind"] for line in lines] == kinds
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
    for line in map(strict, unjudged().to_json().splitlines()):
        assert (line["quality"], line["differences"], line["on_front"]) == ({}, {}, [])
        assert line["baseline"] is None


def test_csv_has_one_number_a_line_which_reads_back_exactly(made):
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
    overlap = float(found[FOREIGN, "agreement.axes.overlap"])
    assert overlap == made.agreement("axes", FOREIGN).overlap
    assert not [what for name, what in found if name == FOREIGN and "cost" in what]
    assert all(math.isfinite(float(v)) for v in found.values() if v not in ("True", "False"))


def test_a_data_frame_has_one_system_a_row_and_the_names_of_the_csv(made):
    pytest.importorskip("pandas")
    frame = made.to_pandas()
    assert list(frame.index) == list(made.rows)
    _, *lines = csv.reader(io.StringIO(made.to_csv()))
    assert list(frame.columns) == list(dict.fromkeys(what for _, what, _ in lines))
    assert frame.loc["axes", "quality.RR@10"] == 0.75
    assert frame.loc["bm25", "cost.disk_size"] == made.rows["bm25"].cost.disk_size
    assert math.isnan(frame.loc[FOREIGN, "cost.disk_size"])
    assert frame.sort_values("latency_ms.total.p50").shape == frame.shape


def lines_of(comparison):
    """The lines of a table by their labels, as words."""
    lines = plain_comparison(comparison).splitlines()
    return {line[:32].strip(): line[32:].split() for line in lines if line.startswith("  ")}


def bold_cells(comparison, label):
    """Return the systems whose cells of a line are bold."""
    found = []
    for table in comparison_tables(comparison):
        labels = [getattr(cell, "renderable", cell).plain for cell in table.columns[0]._cells]
        at = labels.index(label)
        for column in table.columns[1:]:
            text = list(column._cells)[at]
            if text.style == "bold" or any(span.style == "bold" for span in text.spans):
                found.append(column.header.plain)
    return found


def test_the_table_has_marks_bold_values_and_verdicts():
    made = three()
    assert lines_of(made)["nDCG@10"] == ["0.5000", "0.2500▼", "0.6250"]
    assert bold_cells(made, "nDCG@10") == ["minilm"]
    text = plain_comparison(made)
    assert text.splitlines()[0] == (
        "2 judged queries, 100 documents; ▲▼ significantly different from bm25"
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
    better = {"nDCG@10": difference(0.125, 0.05, 0.2, 0.01)}
    rows = made.rows | {"minilm": replace(made.rows["minilm"], differences=better)}
    assert lines_of(replace(made, rows=rows))["nDCG@10"] == ["0.5000", "0.2500▼", "0.6250▲"]


@pytest.mark.parametrize(
    ("values", "bold"), [((0.5, 0.50001, 0.2), ["bm25", "glove"]), ((0.5, 0.50001, 0.5), [])]
)
def test_of_values_that_look_alike_all_are_bold_or_none(values, bold):
    made = only(three(), "bm25", "glove", "minilm")
    rows = {
        name: replace(made.rows[name], quality={"nDCG@10": value})
        for name, value in zip(made.rows, values, strict=True)
    }
    assert bold_cells(replace(made, rows=rows), "nDCG@10") == bold


def test_without_judgments_only_agreement_and_cost_are_drawn():
    text = plain_comparison(unjudged())
    assert text.startswith("2 queries, 100 documents\n")
    for absent in ("quality", "nDCG", "against", "lost", "front", "▲"):
        assert absent not in text
    agreeing = lines_of(unjudged())["overlap@3 / RBO with glove"]
    assert " ".join(agreeing) == "0.50 / 0.40 - 0.75 / 0.60"


def test_one_system_and_one_query_make_a_table_too(collection):
    build_axes(collection, n="north", e="east")
    collection.build("bm25", lexical=True)
    queries, qrels = {"q": "north"}, {"q": {"n": 1}}
    text = str(compare(collection, ["bm25"], queries, qrels))
    assert "\n1 judged query, 2 documents\n" in text
    assert "overlap" not in text
    assert "\n1 query, 2 documents\n" in str(compare(collection, ["bm25"], queries))
    # A baseline alone is compared with nothing.
    assert "1 judged query" in str(compare(collection, ["bm25"], queries, qrels, baseline="bm25"))


NAMES = [
    "a-very-long-name-for-a-system-which-is-as-long-as-a-name-can-be1",
    *(f"system-number-{n}-of-seven" for n in range(2, 7)),
    "名前の長いシステム名前の長いシステム名前の長いシステム",
]


def test_seven_systems_with_long_names_fit_a_hundred_columns():
    rows = [
        replace(
            three().rows["minilm"],
            name=name,
            quality={"nDCG@10": 0.5 + n / 100},
            throughput=123_456_789.0,
            differences={"nDCG@10": difference(n / 100, -0.123, 0.456, 0.04)} if n else {},
        )
        for n, name in enumerate(NAMES)
    ]
    made = compared(
        rows,
        {name: {"q1": 0.5} for name in NAMES},
        {},
        [Query("q1", "why?", {"cat": 1})],
        baseline=NAMES[0],
        pairwise=dict.fromkeys(combinations(NAMES, 2), Agreement(1.0, 1.0)),
        notes=("a note " * 40,),
    )
    text = plain_comparison(made)
    assert max(map(cell_len, text.splitlines())) <= 100
    assert all(name in "".join(text.split()) for name in NAMES[1:6])
    # Two tables with the same lines; the best is bold in one of them.
    tables = list(comparison_tables(made))
    assert [len(table.columns) - 1 for table in tables] == [4, 3]
    assert tables[0].row_count == tables[1].row_count
    assert bold_cells(made, "nDCG@10") == [NAMES[-1]]
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system="truecolor")
    console.print(*tables)
    assert "\x1b[1m0.5600\x1b[0m" in console.file.getvalue()


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


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


ASK = ("compare", "library", "--queries", "q.tsv", "--qrels", "j.tsv")


def test_standard_output_has_only_json_or_csv(folder):
    arguments = (*ASK, "--baseline", "bm25", "--run", "other.trec", "--why", "2", "--runs", "runs")
    done = invoke(*arguments, "--json")
    assert done.exit_code == 0
    assert [strict(line)["name"] for line in done.stdout.splitlines()] == ["floor", "bm25", "other"]
    assert done.stderr.splitlines() == [
        "note: 1 query without judgments was left out: q3.",
        "note: Run 'other' has no hits for 1 query, which count 0: q2.",
        "note: Intervals: 10,000 bootstrap resamples, not corrected. p: 100,000 sign flips (all of "
        "them, up to 16 queries), Holm-corrected over the differences from bm25 in each measure. "
        "Seed 20240517.",
        *(f"note: wrote runs/{name}.trec" for name in ("floor", "bm25", "other")),
    ]
    output = succeed(*arguments, "--csv")
    assert {len(line) for line in csv.reader(io.StringIO(output))} == {3}
    assert "note" not in output


@pytest.mark.parametrize(
    ("code", "arguments", "message"),
    [
        (2, ("--json", "--csv"), "Give --json or --csv, not both."),
        (2, ("-k", "0"), "0 is not in the range x>=1."),
        (2, ("--why", "0"), "0 is not in the range x>=1."),
        (2, ("--seed", "-1"), "-1 is not in the range x>=0."),
        (2, ("--runs", ".", "--run", "other.trec"), "--runs . would overwrite other.trec."),
        (2, ("--html", "library/catalog.db"), "would overwrite a file of the collection. Give"),
        (2, ("--html", "q.tsv"), "--html q.tsv would overwrite q.tsv. Give another file."),
        (1, ("-i", "nope"), "No index 'nope' in library/. It has: bm25, floor."),
        (1, ("-m", "nope"), "No measure 'nope'."),
        (1, ("--baseline", "nope"), "No system 'nope' in this comparison. It has: bm25, floor."),
        (1, ("--run", "none.trec"), "none.trec"),
        (1, ("--run", "q.tsv"), "q.tsv"),
        (1, ("--run", "other.trec", "--run", "other.trec"), "given 2 times; give it once."),
        (1, ("-i", "bm25", "-i", "bm25"), "An index is named twice: bm25, bm25."),
        (1, ("--label-file", "j.tsv"), "j.tsv already exists and may hold labels."),
    ],
)
def test_an_impossible_comparison_is_refused_and_changes_no_file(folder, code, arguments, message):
    before = contents(folder)
    assert message in (misuse if code == 2 else fail)(*ASK, *arguments)
    assert contents(folder) == before


def test_queries_must_be_given_and_a_baseline_needs_judgments(folder):
    assert "Give --queries FILE, or --dataset NAME." in misuse("compare", "library")
    assert "A baseline needs judgments." in fail(*ASK[:4], "--baseline", "bm25")


@pytest.mark.parametrize("option", ["--html", "--label-file", "--runs"])
def test_a_place_that_cannot_be_written_is_refused_before_the_work(folder, option):
    before = contents(folder)
    message = "{} cannot be written: there is no folder {}/. Make it, or give another."
    if option != "--runs":
        assert fail(*ASK, option, "no/such/place") == message.format("no/such/place", "no/such")
    assert fail(*ASK, option, "q.tsv/place") == message.format("q.tsv/place", "q.tsv")
    if sys.platform == "linux":  # A folder that takes no file, not even from root.
        assert fail(*ASK, option, "/proc/place").startswith("/proc/place cannot be written: ")
    assert contents(folder) == before
