"""Data frames and other tables in memory."""

import datetime
import warnings

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
