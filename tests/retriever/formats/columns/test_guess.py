"""Which columns are read as what where nobody says it."""

import itertools
import re

import pytest

from indexes.document import Document
from indexes.errors import BadRecord, FileFormatError, FileNote, InputError
from retriever.formats import Reading, read_documents, read_queries
from tests.support.sources.records import write
from tests.support.sources.tables import read_quietly, rows_of
from tests.support.toy import refused

WORDS = ("a long text of many words", "another long text of words", "and one more text of words")


def said(source):
    """Return the note on the columns of a source, without its name and the advice."""
    with pytest.warns(FileNote) as caught:
        list(read_documents(source))
    (text,) = [str(one.message) for one in caught]
    return re.sub(r"^\S+ ?\S*: read |; say otherwise with --id, --title, --text\.", "", text)


def table(count=3, **columns):
    """Return rows of columns, given as functions of the row's number or as lists."""
    cells = {
        name: [given(n) for n in range(count)] if callable(given) else given
        for name, given in columns.items()
    }
    return rows_of(cells)


@pytest.mark.parametrize(
    ("columns", "roles"),
    [
        (("sku", "name", "description"), ("sku", "name", "description")),
        (("Ticket ID", "Subject", "Body"), ("'Ticket ID'", "Subject", "Body")),
        (("ticketId", "headline", "fullText"), ("ticketId", "headline", "fullText")),
        (("uuid", "title", "content"), ("uuid", "title", "content")),
        (("docno", "heading", "abstract"), ("docno", "heading", "abstract")),
        (("url", "question", "answer"), ("url", "question", "answer")),
        (("parcel_id", "title", "remarks"), ("parcel_id", "title", "remarks")),
    ],
)
def test_common_names_in_any_spelling_are_known(columns, roles):
    rows = [dict(zip(columns, (f"x{n}", f"t{n}", WORDS[n]), strict=True)) for n in range(3)]
    parts = zip(roles, ("id", "title", "text"), strict=True)
    assert said(rows) == ", ".join(f"{name} as the {role}" for name, role in parts)
    assert read_quietly(rows)[1] == Document("x1", WORDS[1], "t1")


def test_the_longest_texts_are_the_text_and_increasing_numbers_the_id():
    rows = table(9, nr=lambda n: 10 * n, kind=lambda n: "ab"[n % 2], remark=lambda n: WORDS[n % 3])
    assert said(rows) == "nr as the id, remark as the text"


@pytest.mark.parametrize(
    "cells", [lambda n: 1.5 * n, lambda n: 100 - n, lambda n: f"2020-01-0{n}", lambda n: f"w {n}"]
)
def test_prices_dates_and_phrases_that_differ_are_no_ids(cells):
    rows = table(9, other=cells, remark=lambda n: f"{WORDS[n % 3]} {n}")
    assert said(rows) == "remark as the text, and made ids from the content"


def test_short_words_that_all_differ_are_the_id_of_more_than_a_few_records():
    columns = {"code": lambda n: f"K{n}", "remark": lambda n: f"{WORDS[n % 3]} {n}"}
    assert said(table(9, **columns)) == "code as the id, remark as the text"
    made = "remark as the text, and made ids from the content"
    assert said(table(3, **columns)) == made


def test_what_could_have_been_meant_too_is_said():
    rows = table(sku=["a", "b", "c"], key=[1, 2, 3], body=WORDS, description=WORDS, name=["x"] * 3)
    assert said(rows) == (
        "sku as the id, name as the title, body as the text key could be an id, too. "
        "description could be a text, too."
    )


def test_a_column_called_like_an_id_whose_values_repeat_is_none():
    rows = table(key=["a", "a", "b"], body=WORDS)
    assert said(rows) == (
        "body as the text, and made ids from the content "
        "key is no id: values repeat or are missing."
    )
    holes = table(key=["a", None, "b"], body=WORDS)
    assert "made ids" in said(holes)


def test_a_name_alone_is_the_text():
    assert said(table(sku=["a", "b", "c"], name=WORDS)) == "sku as the id, name as the text"


def test_records_with_an_id_and_a_text_are_not_guessed_about(tmp_path):
    rows = table(id=[1, 2, 3], subject=["x", "y", "z"], text=WORDS, sku=["a", "b", "c"])
    assert next(read_documents(rows)) == Document("1", WORDS[0], "", {"subject": "x", "sku": "a"})
    reading = Reading.of(id="sku")
    found = next(read_documents(rows, reading=reading))
    assert found == Document("a", WORDS[0], "", {"id": 1, "subject": "x"})
    assert next(read_documents(rows, reading=Reading.of(text="subject"))).text == "x"


def test_a_source_with_an_id_and_a_text_is_not_read_ahead():
    endless = ({"id": n, "text": "x"} for n in itertools.count())
    assert next(read_documents(endless)).doc_id == "0"


def test_a_field_that_only_a_later_record_has_can_be_named():
    rows = [{"id": n, "text": "x"} for n in range(1_000)] + [
        {"id": "last", "text": "x", "name": "N"}
    ]
    found = list(read_documents(rows, reading=Reading.of(title="name")))
    assert (found[0].title, found[-1].title) == ("", "N")
    reading = Reading.of(title="nam")
    refused(
        FileFormatError,
        "The list has no column 'nam'. It has: id, text, name",
        list,
        read_documents(rows, reading=reading),
    )


def test_texts_are_joined_by_blank_lines_in_the_order_given_without_empty_ones():
    rows = [
        {"k": 1, "a": "one", "b": "two"},
        {"k": 2, "a": " ", "b": "two"},
        {"k": 3, "a": None, "b": 4},
    ]
    found = read_quietly(rows, id="k", text=["b", "a"])
    assert [one.text for one in found] == ["two\n\none", "two", "4"]


def test_a_record_without_the_named_field_is_bad_and_null_is_empty():
    rows = [{"k": 1, "a": "x"}, {"k": 2, "a": None}, {"k": 3}]
    assert read_quietly(rows, id="k", text="a") == [
        Document("1", "x"),
        Document("2", ""),
        BadRecord("record 3", "no 'a'"),
    ]


NUMBERS = [
    (1, "1"),
    (1.0, "1"),
    ("1.0", "1.0"),
    ("007", "007"),
    (-3.0, "-3"),
    (10**17, str(10**17)),
]


@pytest.mark.parametrize(("given", "doc_id"), NUMBERS)
def test_whole_numbers_are_ids(given, doc_id):
    assert read_quietly([{"id": given, "text": "x"}]) == [Document(doc_id, "x")]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (float("nan"), "'id' is NaN, a missing value; expected text or a whole number"),
        (1.5, "'id' is 1.5; expected text or a whole number"),
        (1e300, "'id' is 1e+300; expected text or a whole number"),
        (True, "'id' is true; expected text or a whole number"),
        (None, "'id' is null; expected text or a whole number"),
    ],
)
def test_other_values_are_no_ids(given, reason):
    assert read_quietly([{"id": given, "text": "x"}]) == [BadRecord("record 1", reason)]


def test_records_without_content_have_no_id_to_make():
    rows = [{"name": "a", "description": "b"}, {"name": "", "description": None}]
    assert read_quietly(rows)[1] == BadRecord("record 2", "no title and no text to make an id from")


def test_a_table_without_texts_is_refused_with_what_it_has(tmp_path):
    path = write(tmp_path / "a.csv", "sku,year\na,2020\n")
    message = r"has no column of texts\. It has: sku, year\. Name one with --text\."
    refused(FileFormatError, message, read_quietly, path)
    assert [one.text for one in read_quietly(path, text="year")] == ["2020"]


def test_names_that_are_no_columns_are_refused():
    refused(InputError, "Column 'a' was given twice", Reading.of, id="a", text=["b", "a"])
    refused(InputError, "The column 5 is not a name", Reading.of, id=5)
    refused(InputError, "No types 'all'. Expected one of: auto, text", Reading.of, types="all")
    refused(InputError, "Give either a table or SQL", Reading.of, table="a", sql="b")


def test_queries_have_names_of_their_own(tmp_path):
    path = write(
        tmp_path / "q.csv", "topic,title,description\n301,crime,about crime\n302,polio,x\n"
    )
    with pytest.warns(
        FileNote, match="read topic as the id, title as the text; say otherwise with"
    ):
        assert read_queries(path) == {"301": "crime", "302": "polio"}
    assert read_queries(path, id="topic", text="description") == {"301": "about crime", "302": "x"}
    refused(
        InputError, "has no columns, as txt", read_queries, write(tmp_path / "q.txt", "a"), id="x"
    )
