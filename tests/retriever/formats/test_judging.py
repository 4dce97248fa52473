"""Judgments one by one: a label file, its queries, and what others wrote meanwhile."""

import pytest

from indexes.errors import InputError
from retriever.formats import LabelRow, read_qrels, read_queries
from retriever.formats.judging import JudgmentFile, grades_of
from retriever.formats.labels import read_label_file
from tests.support.toy import refused


@pytest.fixture
def file(tmp_path):
    return JudgmentFile(tmp_path / "labels.csv")


def row(query, doc_id, grade, text="text"):
    return LabelRow("", query, doc_id, "Title", text, "glove minilm", grade)


def test_judgments_are_read_as_qrels_and_queries(file):
    file.judge(row("why  hum?", "cat", 1))
    file.judge(row("=taxes", "007", 0, "=1+1"))
    file.judge(row("why hum?", "car", None))
    assert read_qrels(file.path) == {"q1": {"cat": 1}, "q2": {"007": 0}}
    assert read_queries(file.queries_path) == {"q1": "why hum?", "q2": "=taxes"}
    assert grades_of(" why hum? ", file.rows()) == {"cat": 1, "car": None}
    assert file.rows()[1] == LabelRow("q2", "=taxes", "007", "Title", "=1+1", "glove minilm", 0)


def test_a_judgment_is_changed_in_its_place_and_withdrawn(file):
    for doc_id in ("a", "b"):
        file.judge(row("q", doc_id, 1))
    file.judge(row("q", "a", 0))
    assert [(one.doc_id, one.relevance) for one in file.rows()] == [("a", 0), ("b", 1)]
    file.withdraw("q", "a")
    file.withdraw("q", "unknown")
    assert [one.doc_id for one in file.rows()] == ["b"]


def test_grades_that_were_entered_in_a_spreadsheet_stay_and_ids_go_on(file):
    file.path.write_text("query_id;doc_id;relevance;query;text\nq7;x;2,0;other;some text\n")
    file.judge(row("new", "y", 1))
    assert read_qrels(file.path) == {"q7": {"x": 2}, "q8": {"y": 1}}


def test_a_query_that_a_label_file_cannot_hold_is_refused_and_nothing_is_written(file):
    refused(InputError, "no query to judge", file.judge, row(" \n", "a", 1))
    refused(InputError, "more than 500 characters", file.judge, row("x" * 501, "a", 1))
    assert not file.path.exists()


def test_the_folder_is_made_if_it_can_be(tmp_path):
    JudgmentFile(tmp_path / "new" / "folder" / "labels.csv").judge(row("q", "a", 1))
    assert (tmp_path / "new" / "folder" / "labels.csv").exists()
    (tmp_path / "file").write_text("")
    inside = JudgmentFile(tmp_path / "file" / "labels.csv")
    refused(InputError, "file/ cannot be made", inside.judge, row("q", "a", 1))


def test_rows_that_are_no_labels_are_refused_together(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("query_id,doc_id,relevance,query,text\nq1,,1,a,b\nq1,x,good,a,b\n")
    refused(InputError, "no doc_id.*\n.*'good' is not a whole", read_label_file, path)
