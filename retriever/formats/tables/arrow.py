"""Rows of Parquet files, and of data frames and other tables of Arrow."""

from __future__ import annotations

import io
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

from indexes.errors import FileFormatError, InputError
from indexes.values import plain
from retriever.formats.columns.check import Check

# Rows decoded and bytes of a column buffered at a time, which bound memory for files of any size.
BATCH_ROWS = 256
BUFFER_BYTES = 1 << 18
# How pandas calls an index without a name.
INDEX = re.compile(r"__index_level_\d+__")
PERIOD = "pandas.period"

Row = tuple[str, dict[str, Any]]


def read_parquet(stream: io.BufferedReader, name: str, check: Check) -> Iterator[Row]:
    """Yield `(place, row)` for every row; place is `name:row number`, from 1.

    Nulls are omitted; what JSON lacks becomes what `plain` makes of it (dates ISO text, decimals
    floats, nanoseconds cut to microseconds); other values are as pyarrow returns them. A stream
    that is not seekable, such as standard input or gzip, is copied to a temporary file first.
    """
    import pyarrow as pa
    import pyarrow.parquet

    with seekable(stream) as file:
        try:
            parquet = pa.parquet.ParquetFile(file, pre_buffer=False, buffer_size=BUFFER_BYTES)
            check(name, parquet.schema_arrow.names)
            _check_types(name, parquet.schema_arrow)
            yield from _rows(parquet.iter_batches(BATCH_ROWS), f"{name}:")
        # ValueError: a value that Python cannot represent, such as the year 20,000.
        except (pa.ArrowException, OSError, ValueError) as error:
            message = f"{name} cannot be read as Parquet: {_reason(error)}."
            raise FileFormatError(f"{message} Download or create it again.") from None


def is_table(source: object) -> bool:
    """Return whether an object is a table of Arrow, or gives itself as one, as data frames do."""
    ways = ("__arrow_c_stream__", "__arrow_c_array__", "__dataframe__", "to_batches")
    return any(hasattr(source, way) for way in ways)


def read_table(source: Any, check: Check) -> Iterator[Row]:
    """Yield `(place, row)` for every row of a table; place is `row number`, from 1.

    A table is one of pandas, polars, pyarrow or any other with Arrow's interfaces for streams,
    arrays or data frames, or with `to_batches`. Values are those of `read_parquet`; the NaN of
    pandas is a null. An index of pandas without a name is left out.

    Raises:
        InputError: Arrow cannot read it, such as a column of values of different types.
    """
    import pyarrow as pa

    kind = type(source).__name__
    try:
        schema, batches = _batches(source)
        check(f"The {kind}", [name for name in schema.names if not INDEX.fullmatch(name)])
        _check_types(f"The {kind}", schema)
        for place, row in _rows(batches, ""):
            yield place, {name: cell for name, cell in row.items() if not INDEX.fullmatch(name)}
    except (pa.ArrowException, NotImplementedError, TypeError, ValueError) as error:
        raise InputError(
            f"The {kind} cannot be read as a table: {_reason(error)}. Give its rows as dicts."
        ) from None


def _batches(source: Any) -> tuple[Any, Iterable[Any]]:
    """Return the schema of a table and its batches."""
    import pyarrow as pa

    if hasattr(source, "__arrow_c_stream__"):
        reader = pa.RecordBatchReader.from_stream(source)
        return reader.schema, reader
    if hasattr(source, "__arrow_c_array__"):
        batch = pa.record_batch(source)
        return batch.schema, [batch]
    if hasattr(source, "to_batches") and hasattr(source, "schema"):
        return source.schema, source.to_batches()
    from pyarrow.interchange import from_dataframe

    table = from_dataframe(source)
    return table.schema, table.to_batches()


def _check_types(name: str, schema: Any) -> None:
    """Refuse periods of pandas, of which Arrow only keeps how many there were since 1970."""
    for field in schema:
        kind = getattr(field.type, "extension_name", "")
        kind = kind or (field.metadata or {}).get(b"ARROW:extension:name", b"").decode()
        if kind == PERIOD:
            raise FileFormatError(
                f"{name} has periods in column '{field.name}', which Arrow keeps as numbers; make "
                "dates or text of them: .dt.to_timestamp() or .astype(str)."
            )


def _rows(batches: Iterable[Any], before: str) -> Iterator[Row]:
    parts = (
        batch.slice(at, BATCH_ROWS) for batch in batches for at in range(0, len(batch), BATCH_ROWS)
    )
    rows = (row for part in parts for row in _microseconds(part).to_pylist())
    for number, row in enumerate(rows, 1):
        values = {key: plain(value) for key, value in row.items() if value is not None}
        yield f"{before}row {number}", values


def _reason(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".")


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


@contextmanager
def seekable(stream: io.BufferedReader) -> Iterator[BinaryIO]:
    """Yield the bytes of `stream` as a file with positions: itself, or a temporary copy."""
    if isinstance(stream.raw, io.FileIO) and stream.seekable():
        yield cast(BinaryIO, stream)
        return
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(stream, copy)
        copy.seek(0)
        yield cast(BinaryIO, copy)
