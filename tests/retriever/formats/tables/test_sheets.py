"""Workbooks: sheets, dates, formulas, cells with errors."""

import datetime
import sys

import openpyxl
import pytest

from indexes.document import Document
from indexes.errors import FileFormatError, FileNote, InputError, UnknownNameError
from retriever.formats import Reading, read_documents, read_records
from tests.support.sources.records import set_stdin, write
from tests.support.toy import exactly, refused


def workbook(path, *rows, **others):
    """Write rows to the first sheet, and others by their names."""
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for title, cells in others.items():
        sheet = book.create_sheet(title)
        for row in cells:
            sheet.append(row)
    book.save(path)
    return path


def read(path, **how):
    return list(read_documents(path, reading=Reading.of(**how)))


def test_numbers_dates_and_booleans_keep_their_types(tmp_path):
    moment = datetime.datetime(2020, 1, 31, 12, 30)
    header = ["id", "text", "day", "at", "midnight", "price", "active"]
    midnight = datetime.datetime(2020, 1, 31)
    row = [1.0, "x", datetime.date(2020, 1, 31), moment, midnight, 1.5, True]
    (found,) = read(workbook(tmp_path / "a.xlsx", header, row))
    assert found == Document(
        "1",
        "x",
        metadata={
            "day": "2020-01-31",
            "at": "2020-01-31T12:30:00",
            "midnight": "2020-01-31T00:00:00",
            "price": 1.5,
            "active": True,
        },
    )


def test_rows_have_the_numbers_of_the_sheet_and_empty_ones_are_left_out(tmp_path):
    rows = [["id", "text", "title"], ["a", "x"], [], ["b", 2048, 1984]]
    path = workbook(tmp_path / "a.xlsx", [], *rows)
    assert list(read_records(path)) == [
        (f"{path}:row 3", Document("a", "x")),
        (f"{path}:row 5", Document("b", "2048", "1984")),
    ]


def test_a_cell_without_a_column_name_is_left_out_and_said_once(tmp_path):
    rows = [["id", "text"], ["a", "x"], ["b", "y", "note"], ["c", "z", "note"]]
    path = workbook(tmp_path / "a.xlsx", *rows)
    with pytest.warns(FileNote, match="a.xlsx:row 3: a cell in a column without a name") as caught:
        assert read(path)[1] == Document("b", "y")
    assert len(caught) == 1


def test_a_cell_with_an_error_makes_its_row_bad(tmp_path):
    path = workbook(tmp_path / "a.xlsx", ["id", "text", "n"], ["a", "x", "#N/A"], ["b", "#5", 1])
    bad, good = read(path)
    assert bad.reason == "a cell is an error: 'n' is #N/A"
    assert good == Document("b", "#5", metadata={"n": 1})


def test_the_sheet_is_chosen_by_name_and_said_where_there_are_several(tmp_path):
    rows = [["id", "text"], ["a", "other"]]
    path = workbook(tmp_path / "a.xlsx", ["id", "text"], ["a", "first"], Other=rows, Third=rows)
    said = f"{path}: read the sheet 'Sheet'; it also has 'Other', 'Third': choose one with --sheet."
    with pytest.warns(FileNote, match=exactly(said)):
        assert read(path) == [Document("a", "first")]
    assert read(path, sheet="Other") == [Document("a", "other")]
    refused(
        UnknownNameError, r"No sheet 'No' in .* It has: Other, Sheet, Third", read, path, sheet="No"
    )


def test_standard_input_and_another_name_may_be_workbooks(tmp_path, monkeypatch):
    raw = workbook(tmp_path / "a.xlsx", ["id", "text"], ["a", "x"]).read_bytes()
    set_stdin(monkeypatch, raw)
    assert list(read_documents("-", format="xlsx")) == [Document("a", "x")]
    assert list(read_documents(write(tmp_path / "a.bin", raw), format="xlsx"))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"PK\x03\x04rest", "cannot be read as a workbook: "),
        (b"id,text\n", "should be xlsx, but does not start like one"),
        (b"", "should be xlsx, but is empty"),
    ],
)
def test_files_that_are_no_workbooks_are_refused(tmp_path, raw, message):
    refused(FileFormatError, message, read, write(tmp_path / "a.xlsx", raw))


def test_an_empty_sheet_is_refused(tmp_path):
    refused(
        FileFormatError, "has an empty sheet; expected a row", read, workbook(tmp_path / "a.xlsx")
    )


def test_without_openpyxl_the_command_to_install_it_is_said(tmp_path, monkeypatch):
    path = workbook(tmp_path / "a.xlsx", ["id", "text"], ["a", "x"])
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    refused(InputError, r"Run: pip install 'retriever-compare\[files\]'", read, path)
