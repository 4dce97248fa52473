"""Types of the columns of CSV and TSV, and values that JSON lacks."""

import datetime
import decimal
import json
import uuid

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.document import Document
from indexes.errors import FileNote
from indexes.values import plain
from retriever import Collection
from retriever.formats import Reading, read_documents
from retriever.formats.columns.types import ColumnTypes
from tests.support.laws import examples
from tests.support.sources.records import set_stdin, write


def typed(*cells):
    """Return the values of a column with these cells."""
    rows = [{"x": cell} if cell else {} for cell in cells]
    types = ColumnTypes.of(rows)
    return [types.convert(row, ()).get("x") for row in rows]


UTC = "2020-01-31T09:00:00+00:00"
TYPED = [
    (("1", "-2", "0"), [1, -2, 0]),
    (("1", "2.50", "1e3"), [1, 2.5, 1000.0]),
    (("true", "False", "TRUE"), [True, False, True]),
    (("2020-01-31", "2020/02/01"), ["2020-01-31", "2020-02-01"]),
    (("2020-01-31 10:00", "2020-02-01"), ["2020-01-31T10:00:00", "2020-02-01"]),
    (("2020-01-31T10:00:00+01:00", "2020-01-31T09:00:00Z"), [UTC, UTC]),
    (("9223372036854775807", " 1 "), [2**63 - 1, 1]),
    (("1", "", "3"), [1, None, 3]),
]
TEXTS = [
    ("007", "1"),
    ("1_000",),
    ("1,5",),
    ("nan", "1.5"),
    ("inf",),
    ("1e999",),
    ("9223372036854775808",),
    ("-0",),
    ("+49",),
    (".5",),
    ("١",),
    ("1", "x"),
    ("true", "1"),
    ("yes", "no"),
    ("2020-02-30",),
    ("31.01.2020",),
    ("01/02/2020",),
    ("2020-01-31T10:00", "2020-01-31T10:00Z"),
    ("2020-01-31", "2020"),
]


@pytest.mark.parametrize(("cells", "values"), TYPED)
def test_a_column_of_one_type_has_its_values(cells, values):
    found = typed(*cells)
    assert found == values
    assert list(map(type, found)) == list(map(type, values))


@pytest.mark.parametrize("cells", TEXTS)
def test_other_columns_stay_text(cells):
    assert typed(*cells) == list(cells)


def test_a_last_cell_of_another_type_makes_the_whole_column_text(tmp_path):
    rows = "".join(f"{n},text,{n}\n" for n in range(5_000))
    path = write(tmp_path / "a.csv", f"id,text,year\n{rows}last,text,unknown\n")
    says = f"^{path}: year is text, as not all of its cells are numbers: 'unknown'.$"
    with pytest.warns(FileNote, match=says):
        documents = list(read_documents(path, reading=Reading.of(types="auto")))
    assert [documents[0].metadata, documents[-1].metadata] == [{"year": "0"}, {"year": "unknown"}]


@pytest.mark.parametrize("place", range(4))
def test_the_cell_that_makes_a_column_text_is_named_wherever_it_is(place):
    cells = ["2021", "2022", "2023"]
    cells.insert(place, "n/a")
    types = ColumnTypes.of([{"year": cell, "name": f"{cell} x"} for cell in cells])
    said = "year is text, as not all of its cells are numbers: 'n/a'."
    assert types.said(()) == said
    assert types.said(("year",)) == ""


CELLS = ("1", "2.5", "n/a", "true", "2020-01-31", "2020-01-31T10:00", "x")


@given(st.lists(st.sampled_from(CELLS), min_size=1))
@settings(max_examples=examples(200))
def test_what_is_said_of_a_column_does_not_depend_on_the_order_of_its_rows(cells):
    # But which of the cells is the first that is something else.
    def said(some):
        return ColumnTypes.of([{"x": cell} for cell in some]).said(()).partition(":")[0]

    assert said(cells) == said(cells[::-1]) == said(sorted(cells))


def test_ids_titles_and_texts_stay_text_and_what_was_read_is_said(tmp_path):
    path = write(tmp_path / "a.csv", "id,title,text,day,my year\n1.0,2.0,3.0,2020-01-31,2020\n")
    said = f"{path}: read day as dates; 'my year' as numbers."
    with pytest.warns(FileNote) as caught:
        (found,) = read_documents(path, reading=Reading.of(types="auto"))
    assert [str(one.message) for one in caught] == [said]
    assert (found.doc_id, found.title, found.text) == ("1.0", "2.0", "3.0")
    assert found.metadata == {"day": "2020-01-31", "my year": 2020}


def test_standard_input_is_typed_too_and_bad_rows_keep_their_places(monkeypatch):
    set_stdin(monkeypatch, b"id,text,year\na,x,2020\nb,y\nc,z,2021\n")
    first, bad, last = read_quietly_typed("-")
    assert (first.metadata, last.metadata) == ({"year": 2020}, {"year": 2021})
    assert str(bad) == "-:3: 2 cells; the header has 3"


def read_quietly_typed(source):
    with pytest.warns(FileNote, match="read year as numbers"):
        return list(read_documents(source, format="csv", reading=Reading.of(types="auto")))


NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(NUMBERS, min_size=1))
@settings(max_examples=examples(100), deadline=None)
def test_numbers_written_as_json_are_read_back(numbers):
    cells = [json.dumps(number) for number in numbers if str(number) != "-0"]
    kept = [number for number in numbers if str(number) != "-0"]
    assert typed(*cells) == kept


@given(st.text(min_size=1).filter(str.strip))
def test_a_number_that_is_read_is_the_one_that_json_reads(cell):
    (found,) = typed(cell)
    if isinstance(found, int | float) and not isinstance(found, bool):
        assert json.loads(cell) == found


PARIS = datetime.timezone(datetime.timedelta(hours=1))
VALUES = [
    (datetime.date(2020, 1, 31), "2020-01-31"),
    (datetime.datetime(2020, 1, 31, 10), "2020-01-31T10:00:00"),
    (datetime.datetime(2020, 1, 31, 10, tzinfo=PARIS), UTC),
    (
        datetime.datetime.max.replace(tzinfo=datetime.timezone(-datetime.timedelta(hours=1))),
        "9999-12-31T23:59:59.999999-01:00",
    ),
    (pd.Timestamp("2020-01-31 10:00:00.123456789"), "2020-01-31T10:00:00.123456"),
    (pd.Timestamp("2020-01-31 10:00", tz="Europe/Paris"), UTC),
    (np.datetime64("2020-01-31"), "2020-01-31"),
    (np.datetime64("2020-01-31T10:00:00.000000001"), "2020-01-31T10:00:00"),
    (np.datetime64("NaT"), None),
    (pd.NaT, None),
    (pd.NA, None),
    (decimal.Decimal("1.50"), 1.5),
    (np.int64(7), 7),
    (np.float32(0.5), 0.5),
    (np.bool_(True), True),
    (np.array([[1, 2]]), [[1, 2]]),
    (("a", np.int8(1)), ["a", 1]),
    ({"at": [datetime.date(2020, 1, 31)]}, {"at": ["2020-01-31"]}),
    (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
]


@pytest.mark.parametrize(("given_", "value"), VALUES)
def test_values_that_json_lacks_become_comparable_ones(given_, value):
    assert Document("a", metadata={"x": given_, "y": [given_]}) == Document(
        "a", metadata={"x": value, "y": [value]}
    )
    found = plain(given_)
    assert found == value
    assert type(found) is type(value)
    json.dumps(found)


def test_metadata_of_mappings_is_filtered_by_date_and_number(tmp_path):
    rows = [
        {"id": n, "text": "x", "day": datetime.date(2020 + n, 1, 1), "price": decimal.Decimal(n)}
        for n in range(3)
    ]
    with Collection.create(tmp_path / "c") as library:
        library.add(rows)
        assert library.delete(where={"day": {">=": "2021-06-01"}, "price": {">": 1.5}}) == 1
        assert sorted(one.doc_id for one in library.documents()) == ["0", "1"]


@given(st.lists(st.datetimes(timezones=st.none() | st.timezones()), min_size=2, max_size=2))
def test_times_with_an_offset_sort_as_text_as_they_do_in_time(moments):
    aware = [one.replace(tzinfo=one.tzinfo or datetime.UTC) for one in moments]
    safe = [one for one in aware if 2 < one.year < 9998]
    texts = [plain(one) for one in safe]
    for first, second, a, b in [(*safe, *texts)] if len(safe) == 2 else []:
        assert (first < second) == (a < b)
