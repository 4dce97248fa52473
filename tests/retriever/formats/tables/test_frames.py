"""Data frames and other tables in memory."""

import datetime
import decimal
import warnings
import zoneinfo

import datasets
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from indexes.document import Document
from indexes.errors import BadRecord, FileFormatError, InputError
from retriever import Collection
from retriever.formats import read_documents, read_records
from tests.support.toy import refused

ROWS = [{"id": 1, "text": "x", "year": 2020}, {"id": 2, "text": "y", "year": 2021}]
DOCUMENTS = [Document("1", "x", "", {"year": 2020}), Document("2", "y", "", {"year": 2021})]


class OldFrame:
    """A table that only has the interchange protocol of data frames."""

    def __init__(self, table):
        self.table = table

    def __dataframe__(self, **options):
        return self.table.__dataframe__(**options)


def read(source):
    return list(read_documents(source))


@pytest.mark.parametrize(
    "make",
    [
        pd.DataFrame,
        pl.DataFrame,
        lambda rows: pl.DataFrame(rows).lazy().collect(),
        pa.Table.from_pylist,
        pa.RecordBatch.from_pylist,
        lambda rows: pa.Table.from_pylist(rows).to_reader(),
        lambda rows: pa.dataset.dataset(pa.Table.from_pylist(rows)),
        lambda rows: OldFrame(pa.Table.from_pylist(rows)),
        datasets.Dataset.from_list,
        lambda rows: datasets.Dataset.from_list(rows).to_iterable_dataset(),
    ],
)
def test_every_kind_of_table_gives_its_rows(make):
    assert read(make(ROWS)) == DOCUMENTS


def test_missing_values_of_pandas_are_nulls_and_whole_floats_are_ids():
    frame = pd.DataFrame(
        {
            "id": [1.0, np.nan, 3.0],
            "text": ["x", "y", None],
            "at": [pd.Timestamp("2020-01-31 10:00", tz="Europe/Paris"), pd.NaT, pd.NaT],
            "day": [datetime.date(2020, 1, 31), None, None],
            "n": [1.5, np.nan, np.nan],
        }
    )
    metadata = {"at": "2020-01-31T09:00:00+00:00", "day": "2020-01-31", "n": 1.5}
    assert list(read_records(frame)) == [
        ("row 1", Document("1", "x", metadata=metadata)),
        ("row 2", BadRecord("row 2", "no id: expected '_id', 'doc_id' or 'id'")),
        ("row 3", BadRecord("row 3", "no 'text'")),
    ]


def test_nan_in_an_id_of_parquet_is_an_error_and_whole_floats_are_ids(tmp_path):
    table = pa.table({"id": pa.array([1.0, float("nan"), 2.0]), "text": ["x", "y", "z"]})
    pq.write_table(table, tmp_path / "a.parquet")
    first, bad, last = read(tmp_path / "a.parquet")
    assert (first, last) == (Document("1", "x"), Document("2", "z"))
    assert bad.reason == "'id' is NaN, a missing value; expected text or a whole number"


def test_a_named_index_is_a_column_and_another_is_left_out():
    frame = pd.DataFrame({"sku": ["a", "b", "c"], "text": ["x", "y", "z"], "n": [1, 2, 3]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        indexed = frame.rename(columns={"sku": "id"}).set_index("id")
        assert read(indexed)[1] == Document("b", "y", metadata={"n": 2})
        chosen = frame.rename(columns={"sku": "id"})
        assert read(chosen[chosen.n > 1])[0] == Document("b", "y", metadata={"n": 2})


def test_a_column_of_several_types_is_refused_with_the_way_out():
    frame = pd.DataFrame({"id": ["a", 1], "text": ["x", "y"]})
    refused(InputError, r"The DataFrame cannot be read as a table: .*\. Give its rows", read, frame)
    assert read(frame.to_dict("records")) == [Document("a", "x"), Document("1", "y")]


BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
ODD = {
    "nulls": ([None, None], {}),
    "times with zones": ([datetime.datetime(2024, 7, 1, tzinfo=BERLIN)] * 2, "2024-06-30T22:00:00"),
    "decimals": ([decimal.Decimal("1.10"), decimal.Decimal(2)], 1.1),
    "nested lists": ([[[1], [2]], [[3]]], [[1], [2]]),
    "objects": ([{"a": datetime.date(2024, 7, 1)}, {"a": None}], {"a": "2024-07-01"}),
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table, datasets.Dataset.from_dict])
def test_odd_columns_give_values_that_json_has(make, kind):
    cells, value = ODD[kind]
    (first, _) = read(make({"id": [1, 2], "text": ["x", "y"], "odd": cells}))
    found = first.metadata.get("odd") or {}
    assert (found.removesuffix("+00:00") if isinstance(found, str) else found) == value


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"id": [1], "text": pd.Categorical(["x"]), "kind": pd.Categorical(["a"])}),
        pl.DataFrame(
            {"id": [1], "text": ["x"], "kind": ["a"]}, schema_overrides={"kind": pl.Enum("a")}
        ),
        pa.table({"id": [1], "text": ["x"], "kind": pa.array(["a"]).dictionary_encode()}),
    ],
)
def test_a_categorical_column_gives_its_values(frame):
    assert read(frame) == [Document("1", "x", metadata={"kind": "a"})]


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, datasets.Dataset.from_dict])
def test_a_table_without_rows_or_columns_has_no_documents(make):
    assert read(make({"id": [], "text": []})) == read(make({})) == []


@pytest.mark.parametrize(
    ("cells", "reason"),
    [([b"\xff"], r"holds b'\xff' (bytes)"), ([datetime.timedelta(1)], "(timedelta)")],
)
def test_values_that_json_lacks_make_their_rows_bad(cells, reason):
    (bad,) = read(pl.DataFrame({"id": [1], "text": ["x"], "odd": cells}))
    assert reason in bad.reason


def test_columns_that_cannot_be_read_right_are_refused(tmp_path):
    periods = pd.DataFrame(ROWS).assign(when=pd.period_range("2024", periods=2, freq="M"))
    periods.to_parquet(tmp_path / "a.parquet")
    for source in (periods, tmp_path / "a.parquet"):
        refused(FileFormatError, "periods in column 'when'", read, source)
    twice = [pa.array([1]), pa.array(["a"]), pa.array(["b"])]
    for table in (pa.Table.from_arrays(twice, ["id", "text", "text"]), repeated_columns()):
        refused(InputError, r"(?i)2 columns 'text'|duplicate column names", read, table)


def repeated_columns():
    return pd.DataFrame([[1, "a", "b"]], columns=["id", "text", "text"])


def test_a_record_that_is_nested_too_deep_is_bad():
    deep = []
    for _ in range(2_000):
        deep = [deep]
    (bad,) = read([{"id": 1, "text": "x", "odd": deep}])
    assert bad.reason.startswith("metadata 'odd' is nested more than 500 levels deep")


def test_a_table_without_a_text_is_refused_with_what_it_has():
    frame = pd.DataFrame({"id": [1], "year": [2020]})
    refused(FileFormatError, "The DataFrame has no column of texts. It has: id, year", read, frame)


def test_what_is_no_table_is_refused():
    refused(InputError, "The source is of type LazyFrame", read, pl.DataFrame(ROWS).lazy())
    refused(InputError, "The source is of type int", read, 5)


def test_a_collection_takes_a_frame_with_named_columns(tmp_path):
    frame = pl.DataFrame({"sku": ["a", "b"], "name": ["A", "B"], "description": ["x", "y"]})
    with Collection.create(tmp_path / "c") as library:
        assert library.add(frame, id="sku", title="name", text=["description"]).new == 2
        assert library.document("b") == Document("b", "y", "B")
