"""Streaming readers of documents from files, folders, standard input and iterables."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from indexes.document import Document
from indexes.errors import BadRecord, InputError
from retriever.formats.folders import (
    IMAGE_ENDINGS,
    TEXT_ENDINGS,
    Item,
    read_folder,
    read_image_file,
    read_text_file,
)
from retriever.formats.records import (
    DOCUMENT_COLUMNS,
    IMAGE_COLUMNS,
    ImageColumn,
    document_or_bad,
)
from retriever.formats.rows import ROW_ENDINGS, read_rows
from retriever.formats.sources import STDIN, Source, locate, open_source, require_path, without_gz
from retriever.images.check import check_image, require_pillow

# Whether the document of an id has an image of this checksum already.
IsKnown = Callable[[str, str], bool]
DocumentSource = str | os.PathLike[str] | Iterable[Document | Mapping[str, Any]]

ENDINGS = ROW_ENDINGS | dict.fromkeys(TEXT_ENDINGS, "text") | dict.fromkeys(IMAGE_ENDINGS, "image")


def read_documents(
    source: DocumentSource,
    *,
    format: str | None = None,  # noqa: A002 -- the command line's word for it
    image: str | None = None,
) -> Iterator[Document | BadRecord]:
    """Yield the documents of `source` in its order, and a `BadRecord` for each unusable record.

    `source` is a path, `"-"` for standard input, or an iterable of `Document` or dict:

    - `.jsonl`, `.ndjson`, `.json`: one object per line; blank lines are skipped.
    - `.csv`, `.tsv`: a header row; empty metadata cells are omitted. CSV has RFC 4180 quotes; in
      TSV a quote is a character unless the whole file agrees with them (a `FileNote` says so).
    - `.parquet`: nulls are omitted, dates and times become ISO text, decimals floats.
    - `.txt`, `.md`: one document with the file name as id.
    - `.jpg`, `.jpeg`, `.png`, `.webp`: one document with this image, and no text.
    - A folder: all texts and images below it, sorted, with relative paths as ids; hidden files and
      folders are skipped.

    Each but an image may be gzipped, with `.gz` after the extension. `format` (jsonl, csv, tsv,
    parquet, text) overrides the extension; standard input defaults to jsonl and may be gzipped.
    Fields are the id (`_id`, `doc_id` or `id`), `text` and optionally `title`; every other field is
    metadata, and an object under `metadata` is merged into it. `image` names the field that holds
    the path of an image, relative to the file's folder; the text may then be missing. Each image is
    read to its end: an image that is missing, truncated, none, or of more than 178,956,970 pixels
    makes a record unusable. Duplicate ids are not checked. An empty file yields nothing. Memory
    does not grow with the source.

    Raises:
        FileFormatError: a file does not match its extension, is truncated, has an unknown
            extension, or is a table without an id or text column (or none of images). Raised during
            iteration where only reading can detect it.
        InputError: `source` does not exist, cannot be read, or is neither path nor iterable, or a
            folder has no texts or images; or there is an image, and no Pillow.
    """
    return (item for _, item in read_records(source, format=format, image=image))


def read_records(
    source: DocumentSource,
    *,
    format: str | None = None,  # noqa: A002
    image: str | None = None,
    is_known: IsKnown = lambda doc_id, checksum: False,
) -> Iterator[Item]:
    """Yield `(place, item)` for every item of `read_documents`.

    An image that `is_known`, by the id of its document and its checksum, has been decoded before
    and is not again. The place is `corpus.jsonl:17` (the line where the record starts),
    `corpus.parquet:row 3`, `record 3` of an iterable, or the path of a text file.
    """
    if isinstance(source, str | os.PathLike):
        return _checked(_read_path(os.fspath(source), format, image), is_known)
    if format is not None:
        raise InputError(f"format '{format}' is for files; the source is {_kind(source)}.")
    if isinstance(source, Document | Mapping | bytes) or not isinstance(source, Iterable):
        raise InputError(
            f"The source is {_kind(source)}; expected a path or an iterable of Document or dict. "
            "For one document, pass a list of one."
        )
    return _checked(_read_iterable(source, image), is_known)


def _checked(items: Iterator[Item], is_known: IsKnown) -> Iterator[Item]:
    """Yield records, those of images that cannot be decoded as bad ones."""
    for place, item in items:
        if (
            isinstance(item, BadRecord)
            or item.image is None
            or is_known(item.doc_id, item.image.checksum)
        ):
            yield place, item
            continue
        require_pillow()
        try:
            check_image(item.image)
        except InputError as error:
            yield place, BadRecord(place, str(error).removeprefix(f"{place}: "), item.doc_id)
        else:
            yield place, item


def check_source(source: DocumentSource, *, format: str | None = None) -> None:  # noqa: A002
    """Raise the errors of `read_records` that need no reading: missing path, unknown extension."""
    read_records(source, format=format)


def _kind(source: object) -> str:
    return f"of type {type(source).__name__}"


def _read_iterable(source: Iterable[object], image: str | None) -> Iterator[Item]:
    column = ImageColumn(image) if image else None
    for number, item in enumerate(source, 1):
        place = f"record {number}"
        if isinstance(item, Document):
            yield place, item
        elif isinstance(item, Mapping):
            yield place, document_or_bad(place, item, column)
        else:
            yield place, BadRecord(place, f"is {_kind(item)}; expected a Document or a dict")


def _read_path(name: str, kind: str | None, image: str | None) -> Iterator[Item]:
    if name != STDIN and require_path(name).is_dir():
        if kind is not None:
            wrong = f"format '{kind}' is for files"
            raise InputError(f"{name} is a folder, read as text and image files; {wrong}.")
        return read_folder(name)
    source = locate(name, kind, ENDINGS, "jsonl")
    if source.kind == "text":
        if name == STDIN:
            raise InputError("Text on standard input has no id. Give a file, or use jsonl.")
        return read_text_file(source, without_gz(Path(name).name))
    if source.kind == "image":
        if name == STDIN:
            raise InputError("An image on standard input has no id. Give a file.")
        return read_image_file(name, Path(name).name)
    return _read_rows(source, image)


def _read_rows(source: Source, image: str | None) -> Iterator[Item]:
    column = ImageColumn(image, source.folder) if image else None
    columns = (*IMAGE_COLUMNS, (image,)) if image else DOCUMENT_COLUMNS
    with open_source(source) as stream:
        for place, row in read_rows(stream, source, columns):
            yield place, row if isinstance(row, BadRecord) else document_or_bad(place, row, column)
