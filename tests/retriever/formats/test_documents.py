"""Reading documents: every format, and every error of a record or a file."""

import csv
import datetime
import decimal
import gzip
import io
import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes.document import Document
from indexes.errors import BadRecord, FileFormatError, FileNote, InputError
from retriever.formats import delimited, read_documents, read_records
from tests.support.fresh import printed_by
from tests.support.sources.records import set_stdin, write
from tests.support.toy import exactly, refused

CAT = Document("cat", "A kitten purrs.")
CAR = Document("car", "The engine idles.", "Engines", {"year": 1999})


def read(source, *, format=None):  # noqa: A002
    return list(read_documents(source, format=format))


def reasons(path):
    """Return the reasons of bad records by their places in the file."""
    bad = [item for item in read(path) if isinstance(item, BadRecord)]
    return {item.place.removeprefix(str(path)): item.reason for item in bad}


def parquet_bytes(columns):
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


PARQUET = parquet_bytes({"id": ["a"], "text": ["x"]})
JSONL = b'{"id": "a", "text": "x"}\n'


@pytest.mark.parametrize("ending", ["jsonl", "ndjson", "json", "JSONL", "jsonl.gz"])
def test_json_lines_become_documents_in_order(tmp_path, ending):
    lines = '{"_id": "cat", "text": "A kitten purrs."}\n'
    lines += '{"_id": "car", "title": "Engines", "text": "The engine idles.", "year": 1999}\n'
    assert read(write(tmp_path / f"corpus.{ending}", lines)) == [CAT, CAR]


@pytest.mark.parametrize("name", ["_id", "doc_id", "id"])
def test_an_id_may_have_three_names_and_be_a_whole_number(tmp_path, name):
    path = write(tmp_path / "a.jsonl", json.dumps({name: 7, "text": "seven"}))
    assert read(path) == [Document("7", "seven")]


def test_other_ids_are_metadata_and_an_object_called_metadata_is_merged():
    ids = {"id": "third", "doc_id": "second", "_id": "first", "text": ""}
    merged = {"id": "a", "text": "", "year": 1, "metadata": {"year": 2, "source": "x"}}
    plain = {"id": "b", "text": "", "metadata": [1]}
    assert read([ids, merged, plain]) == [
        Document("first", "", metadata={"id": "third", "doc_id": "second"}),
        Document("a", "", metadata={"source": "x", "year": 1}),
        Document("b", "", metadata={"metadata": [1]}),
    ]


def test_a_byte_order_mark_blank_lines_carriage_returns_and_null_titles_are_ignored(tmp_path):
    raw = b'\xef\xbb\xbf{"id": "a", "text": "x"}\r\n\r\n   \n'
    path = write(tmp_path / "a.jsonl", raw + b'{"id": "b", "text": "y", "title": null}')
    assert list(read_records(path)) == [
        (f"{path}:1", Document("a", "x")),
        (f"{path}:4", Document("b", "y")),
    ]


NO_JSON = ", which JSON cannot hold"
BAD_LINES = [
    (b'{"_id": "a" "text": ""}', "not JSON: Expecting ',' delimiter at column 13"),
    (b'{"_id": "a', "not JSON: Unterminated string starting at column 9"),
    (b"[1, 2]", "not an object"),
    (b'"text"', "not an object"),
    (b'{"text": ""}', "no id: expected '_id', 'doc_id' or 'id'"),
    (b'{"id": "a"}', "no 'text'"),
    (b'{"id": "a", "text": 5}', "'text' is 5; expected text"),
    (b'{"id": "a", "text": null}', "'text' is null; expected text"),
    (b'{"id": "a", "text": "", "title": ["x"]}', "'title' is a list; expected text"),
    (b'{"id": 1.5, "text": ""}', "'id' is 1.5; expected text or a whole number"),
    (b'{"_id": true, "text": ""}', "'_id' is true; expected text or a whole number"),
    (b'{"id": " ", "text": ""}', "'doc_id' is empty; every document needs an id"),
    (b'{"id": "a", "text": "caf\xe9"}', "invalid UTF-8 at byte 25"),
    (b'{"id": "a", "text": "\\ud800"}', "'text' is not valid Unicode at character 0"),
    (b'{"id": "a", "text": "", "n": NaN}', "not JSON: NaN is not a JSON value"),
    (b'{"id": "a", "text": "", "n": -Infinity}', "not JSON: -Infinity is not a JSON value"),
    (b'{"id": "a", "text": "", "n": 1e999}', f"metadata 'n' holds inf (float){NO_JSON}"),
    (b"[" * 200_000, "not JSON: nested too deeply"),
]


@pytest.mark.parametrize(("line", "reason"), BAD_LINES)
def test_a_bad_line_has_a_reason_and_reading_goes_on(tmp_path, line, reason):
    path = write(tmp_path / "a.jsonl", b'{"id":"1","text":""}\n' + line + b'\n{"id":"3","text":""}')
    assert read(path) == [Document("1", ""), BadRecord(f"{path}:2", reason), Document("3", "")]


def test_a_whole_number_of_5000_digits_and_a_long_value_have_short_reasons(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"id": "a", "text": "", "n": ' + "9" * 5_000 + "}")
    assert reasons(path)[":1"].startswith("not JSON: it has a number of more than 4,300 digits")
    (bad,) = read([{"id": "a", "text": "", "blob": b"x" * 1_000_000}])
    assert isinstance(bad, BadRecord)
    assert len(bad.reason) < 400
    assert bad.reason.endswith(f"(bytes){NO_JSON}")


def test_an_empty_file_holds_no_documents(tmp_path):
    assert read(write(tmp_path / "a.jsonl", "")) == []
    assert read(write(tmp_path / "a.jsonl.gz", "")) == []


@given(
    st.lists(
        st.builds(
            Document,
            st.text(min_size=1).filter(lambda text: text.strip() and "\0" not in text),
            st.text(),
            st.text(),
            st.dictionaries(st.text().map("m-".__add__), st.none() | st.integers() | st.text()),
        )
    )
)
def test_any_documents_written_as_json_lines_are_read_back_unchanged(tmp_path_factory, documents):
    path = tmp_path_factory.mktemp("law") / "corpus.jsonl"
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for one in documents:
            fields = {"_id": one.doc_id, "title": one.title, "text": one.text, **one.metadata}
            file.write(json.dumps(fields, ensure_ascii=False) + "\n")
    assert read(path) == documents


@pytest.mark.parametrize(
    ("ending", "delimiter"), [("csv", ","), ("tsv", "\t"), ("csv.gz", ","), ("tsv.gz", "\t")]
)
def test_rows_under_a_header_become_documents(tmp_path, ending, delimiter):
    rows = [["_id", "text", "title", "year"], ["cat", "A kitten purrs.", "", ""]]
    rows.append(["car", "The engine idles.", "Engines", "1999"])
    path = write(tmp_path / f"a.{ending}", "\n".join(delimiter.join(row) for row in rows))
    assert read(path) == [CAT, Document("car", "The engine idles.", "Engines", {"year": "1999"})]


def test_a_row_is_placed_at_the_line_where_it_starts(tmp_path):
    text = 'id,text,year\r\na,"one\r\ntwo, ""three""",\r\n\r\nb,last,\r\n'
    path = write(tmp_path / "a.csv", "\ufeff" + text)
    assert list(read_records(path)) == [
        (f"{path}:2", Document("a", 'one\r\ntwo, "three"')),
        (f"{path}:5", Document("b", "last")),
    ]


@pytest.mark.parametrize(("ending", "delimiter"), [("csv", ","), ("tsv", "\t")])
def test_columns_without_a_name_are_left_out_with_one_note(tmp_path, ending, delimiter):
    # The first is the row numbers of a data frame; the last has no cells.
    rows = [",_id,text,", ",a,one,", "1,b,two,", "2,c,three,"]
    path = write(tmp_path / f"a.{ending}", "\n".join(rows).replace(",", delimiter))
    with pytest.warns(FileNote) as caught:
        found = read(path)
    assert found == [Document("a", "one"), Document("b", "two"), Document("c", "three")]
    said = "a cell in a column without a name was left out; name it in the first row."
    assert [str(one.message) for one in caught] == [f"{path}:3: {said}"]


def test_cells_longer_than_the_limit_of_csv_are_read_and_the_limit_stays(tmp_path):
    limit = csv.field_size_limit()
    path = write(tmp_path / "a.csv", "id,text\na," + "x" * 1_000_000)
    assert read(path) == [Document("a", "x" * 1_000_000)]
    assert csv.field_size_limit() == limit


def test_a_bad_row_has_a_reason_and_reading_goes_on(tmp_path):
    rows = b'id,text,year\na,one\nb,two,2,3\nc,"x"y,3\nd,caf\xe9,4\n,five,5\nf,,6'
    path = write(tmp_path / "a.csv", rows)
    closing = "; is a quote not closed or not doubled?"
    assert reasons(path) == {
        ":2": "2 cells; the header has 3",
        ":3": "4 cells; the header has 3",
        ":4": f"not CSV: ',' expected after '\"'{closing}",
        ":5": "invalid UTF-8 at byte 6 of line 5",
        ":6": "no id: expected '_id', 'doc_id' or 'id'",
    }
    assert Document("f", "", metadata={"year": "6"}) in read(path)


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ('id,text\na,one\nb,"two\nc,three\nd,four\n', 3),
        ('id,text\na,one\nb,"two', 3),
        ('id,text\n\n"a\n""a"" ",one\nb,"two ""2""\n""\n""x"\nc,"\n', 8),
        # The row starts at line 2, and two of its quotes are closed.
        ('id,text,year\na,"one\ntwo","3\n4\n', 3),
        ('id,"text\na,one\n', 1),
    ],
)
def test_a_quote_that_is_never_closed_loses_no_rows_silently(tmp_path, rows, line):
    path = write(tmp_path / "a.csv", rows)
    message = (
        f"{path}: a quote opened at line {line} is never closed, so no row after it can "
        "be read. Close it, or double it if it belongs to the text."
    )
    refused(FileFormatError, exactly(message), read, path)


def test_a_quote_not_closed_within_the_longest_cell_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(delimited, "LONGEST_CELL", 20)
    path = write(tmp_path / "a.csv", 'id,text\na,"one\n' + "b,two\n" * 9)
    refused(FileFormatError, "a quote opened at line 2 is never closed", read, path)
    path = write(tmp_path / "b.csv", f"id,text\na,{'x' * 21}\nb,two\n")
    assert list(reasons(path)) == [":2"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"id,year\na,1\n", "has no column of texts. It has: id, year. Name one with --text."),
        (b"id,text,text\na,b,c\n", "has 2 columns 'text'; rename all but one."),
        (b"", "is empty; expected a header row with the column names."),
        (b"id,caf\xe9,text\n", "has a header row that cannot be read: invalid UTF-8 at byte 7"),
    ],
)
def test_an_unusable_header_is_refused(tmp_path, content, message):
    path = write(tmp_path / "a.csv", content)
    refused(FileFormatError, rf"\A{re.escape(str(path))}.*{re.escape(message)}", read, path)


@pytest.mark.parametrize("ending", ["parquet", "parquet.gz"])
def test_parquet_rows_become_documents(tmp_path, ending):
    columns = {
        "doc_id": pa.array([1, 2]),
        "text": ["x", "y"],
        "title": [None, "Y"],
        "day": [datetime.date(2020, 1, 31), None],
        "at": pa.array([0, 1_500_000_001], pa.timestamp("ns")),
        "price": [decimal.Decimal("1.50"), None],
        "metadata": [{"tags": ["a"], "seen": datetime.time(12, 30)}, None],
    }
    path = write(tmp_path / f"a.{ending}", parquet_bytes(columns))
    metadata = {"seen": "12:30:00", "tags": ["a"], "day": "2020-01-31", "price": 1.5}
    first, second = "1970-01-01T00:00:00", "1970-01-01T00:00:01.500000"
    assert list(read_records(path)) == [
        (f"{path}:row 1", Document("1", "x", metadata={**metadata, "at": first})),
        (f"{path}:row 2", Document("2", "y", "Y", {"at": second})),
    ]


def test_parquet_rows_that_cannot_be_used(tmp_path):
    columns = {
        "id": ["a", "b", None, "d"],
        "text": ["", "", "", None],
        "blob": [b"\x00", None, None, None],
        "value": [None, float("nan"), None, None],
    }
    path = write(tmp_path / "a.parquet", parquet_bytes(columns))
    assert reasons(path) == {
        ":row 1": f"metadata 'blob' holds b'\\x00' (bytes){NO_JSON}",
        ":row 2": f"metadata 'value' holds nan (float){NO_JSON}",
        ":row 3": "no id: expected '_id', 'doc_id' or 'id'",
        ":row 4": "no 'text'",
    }


def test_parquet_without_a_text_column_or_truncated_is_refused(tmp_path):
    path = write(tmp_path / "a.parquet", parquet_bytes({"id": ["a"], "year": [1]}))
    refused(FileFormatError, r"has no column of texts\. It has: id, year\.", read, path)
    path = write(tmp_path / "b.parquet", PARQUET[: len(PARQUET) // 2])
    refused(FileFormatError, "cannot be read as Parquet", read, path)


def test_row_numbers_of_parquet_continue_over_batches_and_row_groups(tmp_path):
    path = tmp_path / "a.parquet"
    table = pa.table({"id": pa.array(range(1_000)), "text": ["x"] * 1_000})
    pq.write_table(table, path, row_group_size=300)
    places = [(place, item.doc_id) for place, item in read_records(path)]
    assert places == [(f"{path}:row {n + 1}", str(n)) for n in range(1_000)]


def test_a_folder_gives_its_text_files_sorted_under_their_relative_paths(tmp_path):
    for name in ["b.md", "a/z.txt", "a.txt", "a b.txt", "a/b/c.txt.gz", "B.TXT"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write(tmp_path / name, f"text of {name}\n")
    assert list(read_records(tmp_path)) == [
        (str(tmp_path / name), Document(name.removesuffix(".gz"), f"text of {name}\n"))
        for name in ["B.TXT", "a b.txt", "a.txt", "a/b/c.txt.gz", "a/z.txt", "b.md"]
    ]


def test_a_bad_file_in_a_folder_is_a_bad_record(tmp_path):
    write(tmp_path / "a.txt", b"caf\xe9")
    (tmp_path / "b.txt.gz").write_bytes(b"not gzip")
    write(tmp_path / "c.txt", "fine")
    (tmp_path / "d.txt").symlink_to("nowhere")
    reason = "ends in .gz, but it is not gzip data. Remove .gz from its name, or download it again."
    assert read(tmp_path) == [
        BadRecord(f"{tmp_path}/a.txt", "invalid UTF-8 at byte 4. Save it as UTF-8", "a.txt"),
        BadRecord(f"{tmp_path}/b.txt.gz", reason, "b.txt"),
        Document("c.txt", "fine"),
        BadRecord(f"{tmp_path}/d.txt", "cannot be read: No such file or directory.", "d.txt"),
    ]


def test_a_file_name_that_is_no_unicode_is_a_bad_record_that_can_be_printed(tmp_path):
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.txt")).write_text("x")
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    (bad,) = read(tmp_path)
    assert bad.place == f"{tmp_path}/\\xff.txt"
    assert bad.reason == "'doc_id' is not valid Unicode at character 0"


@pytest.mark.parametrize("name", ["note.md", "note.txt", "note.md.gz"])
def test_a_text_file_is_one_document(tmp_path, name):
    path = write(tmp_path / name, b"\xef\xbb\xbfone\r\n\r\ntwo")
    assert read(path) == [Document(name.removesuffix(".gz"), "one\r\n\r\ntwo")]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        (None, JSONL),
        ("jsonl", JSONL),
        ("csv", b"id,text\na,x\n"),
        ("tsv", b"id\ttext\na\tx\n"),
        ("parquet", PARQUET),
    ],
)
def test_standard_input_in_every_format_gzipped_or_not(monkeypatch, pack, kind, raw):
    set_stdin(monkeypatch, pack(raw))
    assert read("-", format=kind) == [Document("a", "x")]
    assert not sys.stdin.buffer.closed
    set_stdin(monkeypatch, pack(b"\n{}\n"))
    assert read("-") == [BadRecord("-:2", "no id: expected '_id', 'doc_id' or 'id'")]


def test_a_real_pipe_is_read_line_by_line_before_it_ends():
    code = """from retriever.formats import read_documents
print(next(read_documents("-")).doc_id, flush=True)"""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdin.write(b'{"id": "a", "text": ""}\n')
        process.stdin.flush()
        assert process.stdout.readline() == b"a\n"


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_format_by_name_overrides_the_ending(tmp_path, pack):
    path = write(tmp_path / "corpus.data", pack(b"id,text\na,x\n"))
    assert read(path, format="csv") == [Document("a", "x")]


def test_unknown_formats_and_formats_for_what_is_no_file_are_refused(tmp_path):
    message = r"No format 'xml'\. Known formats: jsonl, json, csv, tsv"
    refused(InputError, message, read, "-", format="xml")
    refused(InputError, "is a folder, read as one document for each", read, tmp_path, format="csv")
    refused(InputError, "format 'csv' is for files", read, [CAT], format="csv")
    message = r"A document \(pdf\) on standard input has no id\. Give a file"
    refused(InputError, message, read, "-", format="pdf")


@pytest.mark.parametrize(
    ("name", "raw", "message"),
    [
        (
            "a.jsonl",
            gzip.compress(JSONL, mtime=0),
            "looks like gzip data. Rename it to end in .gz.",
        ),
        ("a.parquet", gzip.compress(PARQUET, mtime=0), "looks like gzip data."),
        ("a.jsonl", PARQUET, "looks like a Parquet file. Read it as parquet"),
        ("a.csv", b"PK\x03\x04rest", "looks like a zip archive or an office document. Unpack"),
        ("a.tsv", b"SQLite format 3\0rest", "looks like an SQLite database. Read it as sqlite"),
        ("a.csv", "id,text\n".encode("utf-16"), "looks like UTF-16 text. Save it as UTF-8."),
        ("a.txt", b"%PDF-1.7", "looks like a PDF. Rename it to end in .pdf."),
        ("a.jsonl.gz", gzip.compress(PARQUET, mtime=0), "looks like a Parquet file."),
        ("a.parquet", JSONL, "does not start like one. Pass another file"),
        ("a.parquet", b"", "should be parquet, but is empty."),
        ("a.jsonl.gz", JSONL, "ends in .gz, but it is not gzip data."),
        ("a.jsonl.gz", PARQUET, "ends in .gz, but it looks like a Parquet file."),
        ("a.jsonl.gz", b"", "ends in .gz, but it is empty. Download it again."),
        ("a.py", b"x", "has the unknown extension '.py'. Known extensions: .jsonl, .ndjson"),
        ("a.py", b"x", "the format with --format (jsonl, json, csv, tsv, parquet, xlsx,"),
        ("corpus", JSONL, "has no extension. Known extensions: .jsonl"),
        ("corpus", b"x\0", "has no extension. Known extensions: .jsonl"),
        ("corpus", PARQUET, "has no extension. Known extensions: .jsonl"),
    ],
)
def test_a_file_whose_content_contradicts_its_name_is_refused(tmp_path, name, raw, message):
    path = tmp_path / name
    path.write_bytes(raw)
    refused(FileFormatError, rf"\A{re.escape(str(path))}.*{re.escape(message)}", read, path)


def test_damaged_gzip_is_refused(tmp_path):
    packed = gzip.compress(JSONL * 1_000)
    path = tmp_path / "a.jsonl.gz"
    for damaged in (packed[:-10], packed[:-6] + bytes([packed[-6] ^ 0xFF]) + packed[-5:]):
        path.write_bytes(damaged)
        refused(FileFormatError, "is damaged or truncated: ", read, path)


def test_an_iterable_of_documents_and_dicts_is_read_and_not_changed():
    source = [CAT, {"doc_id": "car", "text": "x"}, 5, {"id": "b"}, {"id": "c", "text": ""}]
    assert read(source) == [
        CAT,
        Document("car", "x"),
        BadRecord("record 3", "is of type int; expected a Document or a dict"),
        BadRecord("record 4", "no 'text'"),
        Document("c", ""),
    ]
    fields = {"id": 1, "text": "x", "metadata": {"year": 1}}
    read([fields])
    assert fields == {"id": 1, "text": "x", "metadata": {"year": 1}}


@pytest.mark.parametrize("source", [CAT, {"id": "a", "text": ""}, b"corpus.jsonl", None, 5])
def test_a_source_that_is_one_document_or_no_iterable_is_refused(source):
    message = "expected a path or an iterable of Document or dict"
    refused(InputError, message, read_documents, source)


@pytest.mark.parametrize(
    "name", ["no/such/corpus.jsonl", "Why does my cat hum?", "nul\0nul", "long " * 500, ""]
)
def test_a_text_that_is_no_path_is_refused_before_reading(name):
    with pytest.raises(InputError) as caught:
        read_documents(name)
    assert name[:80] in str(caught.value)
    assert len(str(caught.value)) < 200


def test_a_file_that_may_not_be_read_is_refused(tmp_path):
    path = write(tmp_path / "a.jsonl", "{}")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read anything")
    refused(InputError, "cannot be read: Permission denied", read, path)


def test_an_endless_iterable_is_read_only_as_far_as_asked():
    taken = []

    def endless():
        for number in itertools.count():
            taken.append(number)
            yield {"id": number, "text": ""}

    documents = read_documents(endless())
    assert [next(documents), next(documents)] == [Document("0", ""), Document("1", "")]
    assert taken == [0, 1]


@pytest.mark.parametrize("ending", ["jsonl", "csv", "tsv", "parquet"])
def test_memory_does_not_grow_with_the_file(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    rows, text = 20_000, "word " * 400
    if ending == "parquet":
        # Numbered, so that no dictionary of few texts makes the file small.
        texts = [f"{number} {text}" for number in range(rows)]
        table = pa.table({"id": pa.array(range(rows)), "text": texts})
        pq.write_table(table, path, compression="none", use_dictionary=False)
    elif ending == "csv":
        path.write_text("id,text\n" + "".join(f"{n},{text}\n" for n in range(rows)))
    elif ending == "tsv":
        # Quoted cells are found to be quoted only at the end of the file.
        path.write_text("id\ttext\n" + "".join(f'{n}\t"{text}\n"\n' for n in range(rows)))
    else:
        path.write_text("".join(f'{{"id":{n},"text":"{text}"}}\n' for n in range(rows)))
    assert path.stat().st_size > 40_000_000
    code = """
import resource, sys
from retriever.formats import read_documents
documents = read_documents(sys.argv[1])
next(documents)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
count = 1 + sum(1 for _ in documents)
print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"""
    count, grown_kilobytes = map(int, printed_by(code, path).split())
    assert count == rows
    assert grown_kilobytes < 10_000


def test_reading_documents_imports_no_engine():
    code = """
import sys, retriever.formats
list(retriever.formats.read_documents([{"id": 1, "text": ""}]))
print({"pyarrow", "ir_measures", "faiss", "torch", "gensim"} & set(sys.modules))"""
    assert printed_by(code) == "set()\n"


def test_the_real_collections_are_read(data):
    documents = read(data / "scifact" / "corpus.jsonl")
    assert len(documents) == 5_183
    assert all(isinstance(document, Document) for document in documents)
    first = documents[0]
    assert (first.doc_id, first.metadata) == ("4983", {})
    assert first.title.startswith("Microstructural development of human newborn cerebral white")
    assert first.text.startswith("Alterations of the architecture of cerebral white matter")
    # Cranfield has two documents without text.
    documents = read(data / "cranfield" / "corpus.jsonl")
    assert len(documents) == 1_400
    assert [d for d in documents if not d.text] == [Document("471", ""), Document("995", "")]
    # The start of a gzipped file is read without the rest.
    path = data / "arxiv-100k" / "corpus.jsonl.gz"
    first = list(itertools.islice(read_documents(path), 1_000))
    assert first[0].doc_id == "acc-phys/9502002"
    assert len({document.doc_id for document in first}) == 1_000
