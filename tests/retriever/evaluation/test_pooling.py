"""Tests of the judgment pool: written, filled in, read back, and used as judgments."""

import csv
from dataclasses import replace
from pathlib import Path

from indexes.errors import InputError
from retriever import compare, read_qrels
from retriever.evaluation.pooling import judgment_pool
from retriever.evaluation.rank_biased_overlap import rank_biased_overlap
from tests.support.commands import fail, invoke, succeed
from tests.support.samples import only, three
from tests.support.toy import refused

# same: both find u first and all second. east: e, all against all, e. north: half has nothing.
QUERIES = {"same": "up", "east": "east east up", "north": "north"}


def rows_of(path):
    with Path(path).open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_the_most_disputed_query_comes_first_and_its_documents_by_id(compass):
    made = compare(compass, ["axes", "half"], QUERIES, k=2)
    assert [(one.query_id, one.doc_id, one.found_by) for one in judgment_pool(made)] == [
        ("north", "all", "axes"),
        ("north", "n", "axes"),
        ("east", "all", "axes half"),
        ("east", "e", "axes half"),
        ("same", "all", "axes half"),
        ("same", "u", "axes half"),
    ]
    # By rank-biased overlap: none, some, all.
    disputed = [1 - rank_biased_overlap(*pair) for pair in ((["n", "all"], []), ("ab", "ba"))]
    assert disputed[0] == 1 > disputed[1] > 0


def test_the_number_of_queries_can_be_limited(compass):
    made = compare(compass, ["axes", "half"], QUERIES, k=1)
    # East and north have no hit in common: they stay in order.
    assert [one.query_id for one in judgment_pool(made, 1)] == ["east", "east"]
    assert [one.query_id for one in judgment_pool(made, 99)] == ["east", "east", "north", "same"]
    message = "number of queries to label is 0; expected at least 1"
    refused(InputError, message, lambda: list(judgment_pool(made, 0)))


def test_judged_and_missing_documents_and_settled_queries_are_left_out():
    made = three()
    found = [(one.query_id, one.doc_id) for one in judgment_pool(made)]
    assert sorted(found) == [("q1", "car"), ("q2", "dog")]
    queries = {query_id: replace(one, judgments={}) for query_id, one in made.queries.items()}
    whole = replace(made, queries=queries)
    assert len(list(judgment_pool(whole))) == 5
    assert list(judgment_pool(replace(whole, documents={}))) == []
    assert [one.query_id for one in judgment_pool(made, 1)] == ["q2"]
    settled = replace(made.queries["q2"], judgments={"tax": 1, "dog": 0})
    made = replace(made, queries=made.queries | {"q2": settled})
    assert [(one.query_id, one.doc_id) for one in judgment_pool(made, 1)] == [("q1", "car")]


def test_one_system_has_no_pool(tmp_path):
    write, path = only(three(), "glove").write_label_file, tmp_path / "labels.csv"
    refused(InputError, "Systems to compare: 1; expected at least 2", write, path)
    assert not path.exists()


def test_grades_that_were_filled_in_are_read_back(compass, tmp_path):
    path = tmp_path / "labels.csv"
    made = compare(compass, ["axes", "half"], QUERIES, k=2)
    assert made.write_label_file(path, 2) == 4
    rows = rows_of(path)
    columns = ["query_id", "doc_id", "relevance", "query", "title", "text", "found_by"]
    values = ["north", "all", "", "north", "", "north east up", "axes"]
    assert list(rows[0].items()) == list(zip(columns, values, strict=True))
    refused(InputError, "4 rows and no label yet", read_qrels, path)
    grade(path, {("north", "n"): "2", ("north", "all"): "0", ("east", "e"): "1"})
    assert read_qrels(path) == {"north": {"all": 0, "n": 2}, "east": {"e": 1}}
    judged = compare(compass, ["axes", "half"], QUERIES, read_qrels(path))
    assert judged.per_query["axes"]["nDCG@10"] == {"north": 1.0, "east": 1.0}
    assert judged.rows["half"]["RR@10"] == 0.25


def grade(path, grades):
    """Fill in a label file as a person does in a spreadsheet."""
    rows = rows_of(path)
    with Path(path).open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        for row in rows:
            given = grades.get((row["query_id"], row["doc_id"]), "")
            writer.writerow(row | {"relevance": given})


def test_labeling_on_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("corpus.jsonl").write_text(
        '{"_id": "007", "text": "a kitten purrs"}\n{"_id": "car", "text": "an engine purring"}\n'
        '{"_id": "=1+1", "text": "kittens in april"}\n'
    )
    Path("queries.tsv").write_text("query_id\ttext\n1e5\tkitten purring\nsilent\t!!!\n")
    succeed("add", "library", "corpus.jsonl")
    succeed("build", "library", "floor", "--embedder", "hashing")
    succeed("build", "library", "bm25", "--lexical")
    compared = ("compare", "library", "--queries", "queries.tsv")
    done = invoke(*compared, "--label-file", "labels.csv")
    assert done.exit_code == 0
    assert (
        "note: wrote labels.csv: 3 documents to judge. Fill in the column relevance and "
        "pass the file: --qrels labels.csv\n" in done.stderr
    )
    assert [row["doc_id"] for row in rows_of("labels.csv")] == ["'007", "'=1+1", "car"]
    assert "3 rows and no label yet" in fail(*compared, "--qrels", "labels.csv")
    grade("labels.csv", {("'1e5", "'007"): "2", ("'1e5", "car"): "1", ("'1e5", "'=1+1"): "0"})
    done = invoke(*compared, "--qrels", "labels.csv", "-m", "RR@10", "--csv")
    assert done.exit_code == 0
    assert "bm25,quality.RR@10,1.0\n" in done.stdout
    assert "note: 1 query without judgments was left out: silent.\n" in done.stderr
    done = invoke(*compared, "--qrels", "labels.csv", "--label-file", "more.csv")
    assert "note: wrote more.csv: 0 documents to judge." in done.stderr
