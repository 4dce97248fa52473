"""Streaming readers of documents from files, folders, standard input and iterables."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from indexes.document import Document
from indexes.errors import BadRecord, InputError
from retriever.formats.folders import TEXT_ENDINGS, Item, read_folder, read_text_file
from retriever.formats.records import DOCUMENT_COLUMNS, document_or_bad
from retriever.formats.rows import ROW_ENDINGS, read_rows
from retriever.formats.sources import STDIN, Source, locate, open_source, require_path, without_gz

DocumentSource = str | os.PathLike[str] | Iterable[Document | Mapping[str, Any]]

ENDINGS = ROW_ENDINGS | dict.fromkeys(TEXT_ENDINGS, "text")


def read_documents(
    source: DocumentSource,
    *,
    format: str | None = None,  # noqa: A002 -- the command line's word for it
) -> Iterator[Document | BadRecord]:
    """Yield the documents of `source` in its order, and a `BadRecord` for each unusable record.

    `source` is a path, `"-"` for standard input, or an iterable of `Document` or dict:

    - `.jsonl`, `.ndjson`, `.json`: one object per line; blank lines are skipped.
    - `.csv`, `.tsv`: a header row; empty metadata cells are omitted. CSV has RFC 4180 quotes; in
      TSV a quote is a character unless the whole file agrees with them (a `FileNote` says so).
    - `.parquet`: nulls are omitted, dates and times become ISO text, decimals floats.
    - `.txt`, `.md`: one document with the file name as id. A folder: all such files below it,
      sorted, with relative paths as ids; hidden files and folders are skipped.

    Each may be gzipped, with `.gz` after the extension. `format` (jsonl, csv, tsv, parquet, text)
    overrides the extension; standard input defaults to jsonl and may be gzipped. Fields are the id
    (`_id`, `doc_id` or `id`), `text` and optionally `title`; every other field is metadata, and an
    object under `metadata` is merged into it. Duplicate ids are not checked. An empty file yields
    nothing. Memory does not grow with the source.

    Raises:
        FileFormatError: a file does not match its extension, is truncated, has an unknown
            extension, or is a table without an id or text column. Raised during iteration where
            only reading can detect it.
        InputError: `source` does not exist, cannot be read, or is neither path nor iterable, or a
            folder has no text files.
    """
    return (item for _, item in read_records(source, format=format))


def read_records(source: DocumentSource, *, format: str | None = None) -> Iterator[Item]:  # noqa: A002
    """Yield `(place, item)` for every item of `read_documents`.

    The place is `corpus.jsonl:17` (the line where the record starts), `corpus.parquet:row 3`,
    `record 3` of an iterable, or the path of a text file.
    """
    if isinstance(source, str | os.PathLike):
        return _read_path(os.fspath(source), format)
    if format is not None:
        raise InputError(f"format '{format}' is for files; the source is {_kind(source)}.")
    if isinstance(source, Document | Mapping | bytes) or not isinstance(source, Iterable):
        raise InputError(
            f"The source is {_kind(source)}; expected a path or an iterable of Document or dict. "
            "For one document, pass a list of one."
        )
    return _read_iterable(source)


def check_source(source: DocumentSource, *, format: str | None = None) -> None:  # noqa: A002
    """Raise the errors of `read_records` that need no reading: missing path, unknown extension."""
    read_records(source, format=format)


def _kind(source: object) -> str:
    return f"of type {type(source).__name__}"


def _read_iterable(source: Iterable[object]) -> Iterator[Item]:
    for number, item in enumerate(source, 1):
        place = f"record {number}"
        if isinstance(item, Document):
            yield place, item
        elif isinstance(item, Mapping):
            yield place, document_or_bad(place, item)
        else:
            yield place, BadRecord(place, f"is {_kind(item)}; expected a Document or a dict")


def _read_path(name: str, kind: str | None) -> Iterator[Item]:
    if name != STDIN and require_path(name).is_dir():
        if kind is not None:
            wrong = f"format '{kind}' is for files"
            raise InputError(f"{name} is a folder, read as text files; {wrong}.")
        return read_folder(name)
    source = locate(name, kind, ENDINGS, "jsonl")
    if source.kind == "text":
        if name == STDIN:
            raise InputError("Text on standard input has no id. Give a file, or use jsonl.")
        return read_text_file(source, without_gz(Path(name).name))
    return _read_rows(source)


def _read_rows(source: Source) -> Iterator[Item]:
    with open_source(source) as stream:
        for place, row in read_rows(stream, source, DOCUMENT_COLUMNS):
            yield place, row if isinstance(row, BadRecord) else document_or_bad(place, row)
