"""Tests of files and standard input before they are read: what they are, and what is expected."""

import io

import pytest

from indexes.errors import FileFormatError, InputError
from retriever.formats import read_documents, read_qrels, read_queries, read_run
from retriever.formats.ids import read_ids
from retriever.formats.labels import read_label_file
from tests.support.commands import fail, succeed
from tests.support.toy import exactly, refused

READERS = (read_queries, read_qrels, read_run, read_ids, read_label_file)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("name", ["folder", "folder.jsonl"])
def test_a_folder_in_place_of_a_file_is_named(tmp_path, monkeypatch, read, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    refused(InputError, exactly(f"{name} is a folder; expected a file."), read, name)


@pytest.mark.parametrize(
    "text", ["doc_id,text\na,cat\n", "\ufeffdoc_id\ttext\na\tcat\n", "a cat\n"]
)
def test_standard_input_of_another_format_than_json_asks_for_its_format(tmp_path, text):
    message = (
        "Standard input does not begin like JSON lines, its format by default. Pass its format "
        "with --format, or give a file of a known extension."
    )
    assert fail("add", str(tmp_path / "library"), "-", stdin=text) == message


def test_queries_on_standard_input_ask_for_the_argument_of_their_reader(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"query_id,text\na,cat\n")))
    advice = exactly(
        "Standard input does not begin like JSON lines, its format by default. Pass its format "
        "with read_queries(format=...), or give a file of a known extension."
    )
    refused(FileFormatError, advice, read_queries, "-")


@pytest.mark.parametrize("text", ["", "\n", '\ufeff\n{"_id": "a", "text": "cat"}', "[]"])
def test_standard_input_that_may_be_json_is_read(monkeypatch, text):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert [one.doc_id for one in read_documents("-")] == ["a"] * ("cat" in text)


def test_a_format_that_was_given_is_not_questioned(tmp_path):
    given = ("add", str(tmp_path / "library"), "-", "--format", "jsonl")
    assert "-:1: not JSON" in fail(*given, stdin="doc_id,text\na,cat\n")


def test_a_first_line_that_is_no_object_can_be_skipped(tmp_path):
    given = ("add", str(tmp_path / "library"), "-", "--skip-bad")
    assert "1 new" in succeed(*given, stdin='"nope"\n{"_id": "a", "text": "cat"}\n')
