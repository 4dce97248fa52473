"""Tests of `evaluate`; every value is worked out by hand."""

import csv
import gzip
import io
from pathlib import Path

import pytest

from indexes.errors import InputError
from retriever.evaluation.evaluate_runs import evaluate_runs, read_runs
from retriever.formats import LabelRow, write_label_file
from retriever.report.terminal.evaluation import evaluation_tables
from tests.support.commands import fail, invoke, misuse, objects, succeed
from tests.support.toy import refused

# a: both answered, RR 1 and 1/2. b: q1 only, RR 1. q3 is judged and neither has it.
RUN_A = "q1 Q0 cat 1 0.9 a\nq2 Q0 car 1 0.8 a\nq2 Q0 tax 2 0.7 a\n"
RUN_B = "q1 Q0 cat 1 7 b\nq9 Q0 cat 1 7 b\n"
MEASURES = ("-m", "RR@10", "-m", "recall@10")
JUDGED = ("--qrels", "qrels.tsv")


@pytest.fixture(autouse=True)
def _runs(corpus):
    with Path("qrels.tsv").open("a") as file:
        file.write("q3\tcat\t1\n")
    Path("a.trec").write_text(RUN_A)
    Path("b.trec.gz").write_bytes(gzip.compress(RUN_B.encode()))


def run(*arguments):
    return invoke("evaluate", *JUDGED, *arguments)


def rows(*arguments):
    text = succeed("evaluate", *JUDGED, *arguments)
    return [line.split() for line in text.splitlines()]


def test_runs_are_the_rows_of_one_table():
    # 1 + 1/2 + 0, and 1 + 0 + 0, over three queries.
    assert rows("a.trec", "b.trec.gz", *MEASURES) == [
        ["3", "judged", "queries"],
        ["MRR@10", "recall@10"],
        ["a", "0.5000", "0.6667"],
        ["b", "0.3333", "0.3333"],
    ]


def test_the_best_of_a_measure_is_bold_and_equals_are_not():
    runs = read_runs(["a.trec", "b.trec.gz"])
    result = evaluate_runs(runs, {"q1": {"cat": 1}, "q2": {"tax": 1}}, ["RR@10", "RR@1"])
    (table,) = evaluation_tables(result)
    (rr10, rr1) = (column.cells for column in table.columns[1:])
    assert [cell.markup for cell in rr10] == ["[bold]0.7500[/bold]", "0.5000"]
    assert [cell.markup for cell in rr1] == ["0.5000", "0.5000"]


def test_unanswered_and_unjudged_queries_are_noted():
    assert run("a.trec", "b.trec.gz", *MEASURES).stderr.splitlines() == [
        "note: a has no hits for 1 of 3 judged queries, which count 0: q3.",
        "note: b has no hits for 2 of 3 judged queries, which count 0: q2, q3.",
        "note: b has 1 query without judgments, left out: q9.",
    ]
    Path("many.trec").write_text("".join(f"x{n} Q0 d 1 1 t\n" for n in range(5)) + RUN_A)
    note = "note: many has 5 queries without judgments, left out: x0, x1, x2 and 2 more."
    assert note in run("many.trec").stderr.splitlines()


def test_the_default_measures_are_those_of_compare():
    assert rows("a.trec")[1] == ["nDCG@10", "recall@10", "recall@100", "MRR@10"]


def test_json_is_one_object_per_run():
    lines = succeed("evaluate", *JUDGED, "a.trec", "b.trec.gz", *MEASURES, "--json")
    third, two_thirds = pytest.approx(1 / 3), pytest.approx(2 / 3)
    a = {"quality": {"RR@10": 0.5, "R@10": two_thirds}, "without_hits": 1, "not_judged": 0}
    b = {"quality": {"RR@10": third, "R@10": third}, "without_hits": 2, "not_judged": 1}
    assert objects(lines) == [
        {"run": "a", "queries": 3, **a, "dropped": 0},
        {"run": "b", "queries": 3, **b, "dropped": 0},
    ]
    line = succeed("evaluate", *JUDGED, "a.trec", "-m", "RR@10", "--json", "--per-query")
    assert objects(line)[0]["per_query"] == {"RR@10": {"q1": 1.0, "q2": 0.5, "q3": 0.0}}


def test_csv_is_one_line_per_run_and_measure_and_quotes_names():
    text = succeed("evaluate", *JUDGED, "a.trec", "b.trec.gz", "-m", "RR@10", "--csv")
    assert text == "run,measure,value\na,RR@10,0.5\nb,RR@10,0.3333333333333333\n"
    Path("a, b.trec").write_text(RUN_A)
    text = succeed("evaluate", *JUDGED, "a, b.trec", "-m", "RR@10", "--csv", "--per-query")
    assert list(csv.reader(io.StringIO(text))) == [
        ["run", "measure", "query_id", "value"],
        ["a, b", "RR@10", "q1", "1.0"],
        ["a, b", "RR@10", "q2", "0.5"],
        ["a, b", "RR@10", "q3", "0.0"],
    ]


def test_a_table_of_every_query_follows_the_means():
    assert rows("a.trec", "b.trec.gz", "-m", "RR@10", "--per-query")[-5:] == [
        ["MRR@10"],
        ["a", "b"],
        ["q1", "1.0000", "1.0000"],
        ["q2", "0.5000", "0.0000"],
        ["q3", "0.0000", "0.0000"],
    ]


def test_a_hit_with_the_id_of_its_query_counts_unless_it_is_dropped():
    Path("self.trec").write_text("q1 Q0 q1 1 2 s\nq1 Q0 cat 2 1 s\n")
    assert rows("self.trec", "-m", "RR@10")[-1] == ["self", "0.1667"]
    assert rows("self.trec", "-m", "RR@10", "--drop-self")[-1] == ["self", "0.3333"]
    note = "note: self has 1 hit that is its query, left out (the document has the query's id)."
    assert note in run("self.trec", "--drop-self").stderr.splitlines()
    assert "hit that is" not in run("self.trec").stderr


def test_tables_fit_100_columns():
    names = [f"a-run-with-a-name-that-goes-on-and-on-and-on-{n}.trec" for n in range(12)]
    for name in names:
        Path(name).write_text(RUN_A)
    measures = [f"{m}@{k}" for m in ("nDCG", "R", "P", "Success(rel=2)") for k in (5, 1000)]
    flags = [flag for measure in measures for flag in ("-m", measure)]
    text = succeed("evaluate", *JUDGED, *names, *flags, "--per-query")
    assert max(map(len, text.splitlines())) <= 100
    assert "0.6667" in text


def test_judgments_may_be_a_file_of_labels():
    labels = Path("labels.csv")
    unjudged = [LabelRow("q1", "hum", doc_id, "", "", "a") for doc_id in ("cat", "car")]
    write_label_file(labels, unjudged)
    labels.write_bytes(labels.read_bytes().replace(b"cat,,", b"cat,1,"))
    assert rows("a.trec", "-m", "RR@10", "--qrels", "labels.csv")[-1] == ["a", "1.0000"]


def test_an_empty_run_counts_0_with_a_note():
    Path("none.trec").write_text("")
    assert rows("none.trec", "-m", "RR@10")[-1] == ["none", "0.0000"]
    assert run("none.trec", "-m", "RR@10").stderr == (
        "note: none has no hits for 3 of 3 judged queries, which count 0: q1, q2, q3.\n"
    )


def test_runs_of_the_same_name_are_named_by_their_paths():
    Path("x").mkdir()
    Path("x/a.trec").write_text(RUN_B)
    assert list(read_runs(["a.trec", "x/a.trec", "b.trec.gz"])) == ["a.trec", "x/a.trec", "b"]


def test_what_cannot_be_evaluated_is_refused():
    def failed(*arguments):
        return fail("evaluate", *JUDGED, *arguments)

    Path("other.trec").write_text("x Q0 d 1 1 t\n")
    assert failed("other.trec") == (
        "Run 'other' has none of the judged queries: it has x; judged are q1, q2, q3. "
        "Give the run and the qrels of one set of queries."
    )
    assert failed("a.trec", "a.trec") == "The run a.trec is given 2 times; give it once."
    assert failed("no.trec").startswith("No file or folder 'no.trec'.")
    assert failed("a.trec", "-m", "nDGC@10").startswith("No measure 'nDGC@10'.")
    assert "is not a file of judgments" in failed("a.trec", "--qrels", "a.trec")
    both = misuse("evaluate", *JUDGED, "a.trec", "--json", "--csv")
    assert both == "Give --json or --csv, not both."


@pytest.mark.parametrize(
    ("runs", "qrels", "measures"),
    [({}, {"q": {"d": 1}}, ["AP"]), ({"a": {}}, {}, ["AP"]), ({"a": {}}, {"q": {"d": 1}}, [])],
)
def test_evaluation_needs_runs_queries_and_measures(runs, qrels, measures):
    message = "at least one run, one judged query and one measure"
    refused(InputError, message, evaluate_runs, runs, qrels, measures)


def test_a_measure_is_read_by_any_name_and_arguments_are_not_changed():
    run, qrels = {"q": [("q", 2.0), ("d", 1.0)]}, {"q": {"d": 1}}
    evaluation = evaluate_runs({"a": run}, qrels, ["MRR@10"], drop_self=True)
    assert evaluation.runs["a"]["mrr@10"] == 1.0
    assert (run, qrels) == ({"q": [("q", 2.0), ("d", 1.0)]}, {"q": {"d": 1}})
