"""Rows of a stream in any row format."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from indexes.errors import BadRecord
from retriever.formats.columns import Required
from retriever.formats.delimited import read_delimited
from retriever.formats.jsonl import read_jsonl
from retriever.formats.sources import Source
from retriever.formats.tables import read_parquet

Row = tuple[str, dict[str, Any] | BadRecord]

ROW_ENDINGS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
}


def read_rows(stream: io.BufferedReader, source: Source, required: Required) -> Iterator[Row]:
    """Yield `(place, fields)` for every row of `source`, or the reason it is unusable.

    Raises:
        FileFormatError: the stream is not of `source.kind`, or lacks a `required` column.
    """
    match source.kind:
        case "jsonl":
            return read_jsonl(stream, source.name)
        case "parquet":
            return read_parquet(stream, source.name, required)
        case "tsv":
            return read_delimited(stream, source.name, "\t", required)
        case _:
            return read_delimited(stream, source.name, ",", required)
