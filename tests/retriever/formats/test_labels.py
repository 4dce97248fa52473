"""Label files: written for a spreadsheet, graded there, and read as judgments."""

import csv
import gzip
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from indexes.errors import InputError
from retriever.formats import LabelRow, read_qrels, write_label_file
from retriever.formats.labels import LABEL_COLUMNS
from tests.support.sources.records import reasons_by_place, write
from tests.support.toy import exactly, refused

HEADER = "query_id,doc_id,relevance,query,title,text,found_by"
ROWS = [
    LabelRow("q1", "why hum?", "cat", "Cats", "A kitten\npurrs.", "glove minilm"),
    LabelRow("q1", "why hum?", "car", "", 'The "engine", idling.', "glove"),
    LabelRow("q2", "taxes", "007", "", "", "minilm"),
]

# Ids that spreadsheets change.
AWKWARD = ["007", "1e5", "=1+1", "'tis", "''", "+3", "-1", "@a", "MAR1", "true", "1/2", "1" * 17]
IDS = st.text(min_size=1).filter(str.strip) | st.sampled_from(AWKWARD)


def cells(path):
    return list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")))


def graded(path, grades, delimiter=","):
    """The file as a spreadsheet saves it once grades are entered."""
    rows = cells(path)
    for row, grade in zip(rows[1:], grades, strict=True):
        row[2] = grade
    with path.open("w", encoding="utf-8", newline="") as file:
        # Quotes everywhere: csv leaves a lone carriage return bare.
        csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows(rows)
    return path


@pytest.fixture
def path(tmp_path):
    """A label file of the rows."""
    write_label_file(tmp_path / "labels.csv", ROWS)
    return tmp_path / "labels.csv"


def test_a_label_file_is_csv_with_a_byte_order_mark(path):
    assert path.read_bytes().decode() == (
        f"\ufeff{HEADER}\r\n"
        "q1,cat,,why hum?,Cats,A kitten purrs.,glove minilm\r\n"
        'q1,car,,why hum?,,"The ""engine"", idling.",glove\r\n'
        "q2,'007,,taxes,,,minilm\r\n"
    )
    assert ",".join(LABEL_COLUMNS) == HEADER


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_grades_that_were_entered_become_judgments(path, delimiter):
    graded(path, ["2", "", "0"], delimiter)
    assert read_qrels(path) == {"q1": {"cat": 2}, "q2": {"007": 0}}


def test_whole_numbers_may_have_a_decimal_zero(path):
    graded(path, ["1.0", " 2,00 ", "-1.0"], ";")
    assert read_qrels(path) == {"q1": {"cat": 1, "car": 2}, "q2": {"007": -1}}


def test_a_gzipped_file_is_written_and_an_empty_row_at_the_end_is_ignored(tmp_path):
    write_label_file(tmp_path / "labels.csv.gz", ROWS)
    raw = gzip.decompress((tmp_path / "labels.csv.gz").read_bytes())
    path = tmp_path / "mine.csv"
    path.write_bytes(raw.replace(b"cat,,", b"cat,3,") + b",,,,,,\r\n")
    assert read_qrels(path) == {"q1": {"cat": 3}}


@given(pairs=st.dictionaries(IDS, st.dictionaries(IDS, st.integers(-9, 9), min_size=1), min_size=1))
@example(pairs={"'": {"''": 1}, "=1": {"é": 0, "\N{SUPERSCRIPT TWO}": 2}})
def test_ids_and_grades_come_back_as_they_were(tmp_path_factory, pairs):
    path = tmp_path_factory.mktemp("law") / "labels.csv"
    rows = [LabelRow(q, f"={q}", d, d, d + q, "a") for q, found in pairs.items() for d in found]
    write_label_file(path, rows)
    grades = [str(grade) for found in pairs.values() for grade in found.values()]
    assert read_qrels(graded(path, grades)) == pairs


def test_no_cell_is_a_formula_and_texts_are_one_line_of_500_characters(tmp_path):
    rows = [
        LabelRow("=cmd()", "+1", "31715818", "@x", "-2\t=3", "=run"),
        LabelRow("MAR1", "a=b", "MARCO-1", "", "\t=4", "x"),
        LabelRow("q", "a\x1b[31m\n b", "d", "", "猫" * 2_000, "x"),
    ]
    write_label_file(tmp_path / "labels.csv", rows)
    # Ids that a spreadsheet does not change stay as they are.
    assert cells(tmp_path / "labels.csv")[1:] == [
        ["'=cmd()", "31715818", "", "'+1", "'@x", "'-2 =3", "'=run"],
        ["'MAR1", "MARCO-1", "", "a=b", "", "'=4", "x"],
        ["q", "d", "", "a [31m b", "", "猫" * 496 + " ...", "x"],
    ]


@pytest.mark.parametrize(("rows", "count"), [(ROWS, "3 rows"), (ROWS[:1], "1 row")])
def test_a_file_without_a_label_is_refused(tmp_path, rows, count):
    path = tmp_path / "labels.csv"
    write_label_file(path, rows)
    message = (
        f"{path} has {count} and no label yet. Enter a whole number under 'relevance' in at least "
        "one, 0 for a document that does not answer its query."
    )
    refused(InputError, exactly(message), read_qrels, path)
    write_label_file(tmp_path / "none.csv", [])
    refused(InputError, "holds no judgments", read_qrels, tmp_path / "none.csv")


def test_a_label_that_is_no_grade_is_reported(path):
    graded(path, ["yes", "", "1.5"])
    assert list(reasons_by_place(read_qrels, path).values()) == [
        "grade 'yes' is not a whole number",
        "grade '1.5' is not a whole number",
    ]


def test_columns_that_reveal_the_system_may_be_removed_and_no_others(tmp_path):
    rows = "text;query;doc_id;query_id;relevance\nx;y;d;q;\nx;y;e;q;1\n"
    assert read_qrels(write(tmp_path / "blind.csv", rows)) == {"q": {"e": 1}}
    # Without the other columns of a label file, a blank grade is an error.
    rows = "query_id,doc_id,relevance,found_by\nq,d,,x\nq,'e,0.5,x\nq,'f,1,x\n"
    assert list(reasons_by_place(read_qrels, write(tmp_path / "qrels.csv", rows)).values()) == [
        "no 'score' or 'relevance'",
        "grade '0.5' is not a whole number",
    ]


def test_an_existing_file_is_not_overwritten(tmp_path):
    path = write(tmp_path / "labels.csv", "mine")
    message = "labels.csv already exists and may hold labels"
    refused(InputError, message, write_label_file, path, ROWS)
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    ("query_id", "doc_id", "title", "message"),
    [
        ("", "d", "", "The query id is empty"),
        ("q", " ", "", "The document id is empty"),
        ("q", "d", "\ud800", "of document 'd' .* is not valid Unicode"),
        ("q2", "007", "", "Document '007' occurs twice"),
    ],
)
def test_rows_that_could_not_be_read_again_are_not_written(
    tmp_path, query_id, doc_id, title, message
):
    rows = [*ROWS, LabelRow(query_id, "", doc_id, title, "", "")]
    refused(InputError, message, write_label_file, tmp_path / "labels.csv", rows)
    assert list(tmp_path.iterdir()) == []
