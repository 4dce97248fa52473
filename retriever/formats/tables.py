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

# Rows decoded and bytes of a column buffered at a time, which bound memory for files of any size.
BATCH_ROWS = 256
BUFFER_BYTES = 1 << 18


def read_parquet(
    stream: io.BufferedReader, name: str, required: Required
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield `(place, row)` for every row; place is `name:row number`, from 1.

    Nulls are omitted. Dates and times become ISO text (truncated to microseconds), decimals become
    floats; other values are as pyarrow returns them. A stream that is not seekable, such as
    standard input or gzip, is copied to a temporary file first.
    """
    import pyarrow as pa
    import pyarrow.parquet

    with _seekable(stream) as file:
        try:
            parquet = pa.parquet.ParquetFile(file, pre_buffer=False, buffer_size=BUFFER_BYTES)
            check_columns(name, parquet.schema_arrow.names, required)
            batches = parquet.iter_batches(BATCH_ROWS)
            rows = (row for batch in batches for row in _microseconds(batch).to_pylist())
            for number, row in enumerate(rows, 1):
                values = {key: _plain(value) for key, value in row.items() if value is not None}
                yield f"{name}:row {number}", values
        # ValueError: a value that Python cannot represent, such as the year 20,000.
        except (pa.ArrowException, OSError, ValueError) as error:
            reason = str(error).partition("\n")[0].rstrip(".")
            message = f"{name} cannot be read as Parquet: {reason}. Download or create it again."
            raise FileFormatError(message) from None


def _microseconds(batch: Any) -> Any:
    """Return `batch` with nanoseconds truncated to microseconds, the resolution of Python."""
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
    """Return `value` with dates, times and decimals at any depth converted to JSON types."""
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
def _seekable(stream: io.BufferedReader) -> Iterator[BinaryIO]:
    # Parquet has its metadata at the end.
    if isinstance(stream.raw, io.FileIO) and stream.seekable():
        yield cast(BinaryIO, stream)
        return
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(stream, copy)
        copy.seek(0)
        yield cast(BinaryIO, copy)
