"""Rows of Parquet files."""

from __future__ import annotations

import datetime
import decimal
import io
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

from indexes.errors import FileFormatError
from retriever.formats.columns import Required, check_columns

# Rows decoded at a time, and bytes of a column held at a time: memory follows these, not the file.
BATCH_ROWS = 256
BUFFER_BYTES = 1 << 18


def read_parquet(
    stream: io.BufferedReader, name: str, required: Required
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield `(place, row)` for every row; place is `name:row number`, from 1.

    Nulls are left out. Dates and times become ISO text (cut to microseconds), decimals become
    floats; other values are as pyarrow gives them. A stream that cannot be searched, such as
    standard input or gzip, goes through a temporary file first.

    Raises:
        FileFormatError: not Parquet, cut off, or without a `required` column.
    """
    import pyarrow as pa
    import pyarrow.parquet

    with _searchable(stream) as file:
        try:
            parquet = pa.parquet.ParquetFile(file, pre_buffer=False, buffer_size=BUFFER_BYTES)
            check_columns(name, parquet.schema_arrow.names, required)
            yield from _rows(parquet, name)
        # ValueError: a value that Python cannot hold, such as the year 20,000.
        except (pa.ArrowException, OSError, ValueError) as error:
            reason = str(error).partition("\n")[0].rstrip(".")
            message = f"{name} cannot be read as Parquet: {reason}. Fetch or make it again."
            raise FileFormatError(message) from None


def _rows(parquet: Any, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    number = 0
    for batch in parquet.iter_batches(BATCH_ROWS):
        for row in _microseconds(batch).to_pylist():
            number += 1
            values = {key: _plain(value) for key, value in row.items() if value is not None}
            yield f"{name}:row {number}", values


def _microseconds(batch: Any) -> Any:
    """`batch` with its nanosecond times cut to microseconds, as fine as Python's own go."""
    import pyarrow as pa

    for place, field in enumerate(batch.schema):
        if pa.types.is_timestamp(field.type) and field.type.unit == "ns":
            target = pa.timestamp("us", field.type.tz)
        elif pa.types.is_time64(field.type) and field.type.unit == "ns":
            target = pa.time64("us")
        else:
            continue
        column = batch.column(place).cast(target, safe=False)
        batch = batch.set_column(place, field.name, column)
    return batch


def _plain(value: Any) -> Any:
    """`value`, and what it holds, in JSON's types where there is one for it."""
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value


@contextmanager
def _searchable(stream: io.BufferedReader) -> Iterator[BinaryIO]:
    # Parquet keeps its table of contents at the end.
    if isinstance(stream.raw, io.FileIO) and stream.seekable():
        yield cast(BinaryIO, stream)
        return
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(stream, copy)
        copy.seek(0)
        yield cast(BinaryIO, copy)
