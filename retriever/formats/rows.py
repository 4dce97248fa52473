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
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), "jsonl"),
    **{".csv": "csv", ".tsv": "tsv", ".parquet": "parquet"},
}


def read_rows(stream: io.BufferedReader, source: Source, required: Required) -> Iterator[Row]:
    """Yield `(place, fields)` for every row of `source`, or the reason it is unusable."""
    if source.kind == "jsonl":
        return read_jsonl(stream, source.name)
    if source.kind == "parquet":
        return read_parquet(stream, source.name, required)
    return read_delimited(stream, source.name, "\t" if source.kind == "tsv" else ",", required)
