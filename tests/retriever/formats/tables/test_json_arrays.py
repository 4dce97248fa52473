"""JSON arrays: one object at a time, and the first place that cannot be read."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.document import Document
from indexes.errors import BadRecord, FileFormatError
from retriever.formats import read_documents, read_queries, read_records
from retriever.formats.tables import json_array
from tests.support.laws import examples
from tests.support.sources.records import set_stdin, write
from tests.support.toy import refused

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def read(path):
    return list(read_documents(path))


@given(
    rows=st.lists(st.dictionaries(st.text().map("m".__add__), JSON), max_size=6),
    indent=st.sampled_from([None, 0, 2]),
    chunk=st.integers(1, 40),
    bom=st.booleans(),
)
@settings(max_examples=examples(100), deadline=None)
def test_an_array_gives_what_its_lines_would(tmp_path_factory, rows, indent, chunk, bom):
    folder = tmp_path_factory.mktemp("law")
    rows = [{"id": n, "text": "x", **row} for n, row in enumerate(rows)]
    lines = write(folder / "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    text = "\ufeff" * bom + json.dumps(rows, indent=indent, ensure_ascii=False)
    try:
        raw = text.encode()
    except UnicodeEncodeError:
        raw = json.dumps(rows, indent=indent).encode()
    array = write(folder / "a.json", raw)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_array, "CHUNK_BYTES", chunk)
        assert read(array) == read(lines)


def test_an_item_is_placed_at_its_line_and_one_that_is_no_object_is_bad(tmp_path):
    path = write(tmp_path / "a.json", '[\n{"id": 1, "text": "x"},\n\n5, {"id":\n2, "text": "y"}]')
    assert list(read_records(path)) == [
        (f"{path}:2", Document("1", "x")),
        (f"{path}:4", BadRecord(f"{path}:4", "not an object")),
        (f"{path}:4", Document("2", "y")),
    ]


GOOD = '{"id": 1, "text": "x"}'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f"[{GOOD},\n{GOOD} {GOOD}]", ":2: not a JSON array: expected a comma or the end"),
        (f"[{GOOD},\n]", ":2: not a JSON array: a comma before the end of the array"),
        (f"[{GOOD},\n", ":2: not a JSON array: Expecting value"),
        (f"[{GOOD}", ":1: not a JSON array: expected a comma or the end"),
        (f'[{GOOD},\n{{"id": 2,\n "text" 5}}]', ":3: not a JSON array: Expecting ':' delimiter"),
        (f'[{GOOD}, {{"id": NaN}}]', ":1: not a JSON array: NaN is not a JSON value"),
        (f"[{GOOD}]\n{GOOD}", ":2: not a JSON array: more after the end of the array"),
        (f"[{'[' * 200_000}", ":1: not a JSON array: nested too deeply"),
    ],
)
def test_what_is_not_json_is_refused_at_its_line(tmp_path, content, message):
    refused(FileFormatError, message, read, write(tmp_path / "a.json", content))


def test_bytes_that_are_not_utf8_are_refused(tmp_path):
    path = write(tmp_path / "a.json", b'[{"id": 1, "text": "caf\xe9"}]')
    refused(FileFormatError, ":1: not a JSON array: invalid UTF-8", read, path)


def test_an_array_is_read_one_item_at_a_time(tmp_path):
    rest = "x" * 1_000_000
    path = write(tmp_path / "a.json", f"[{GOOD}, {rest}")
    found = read_documents(path)
    assert next(found) == Document("1", "x")


def test_standard_input_queries_and_gzip_may_be_arrays(tmp_path, monkeypatch):
    set_stdin(monkeypatch, f"[{GOOD}]".encode())
    assert read("-") == [Document("1", "x")]
    assert read(write(tmp_path / "a.json.gz", f"[{GOOD}]")) == [Document("1", "x")]
    assert read_queries(write(tmp_path / "q.json", f"[{GOOD}]")) == {"1": "x"}
    assert read(write(tmp_path / "e.json", "[]")) == []
