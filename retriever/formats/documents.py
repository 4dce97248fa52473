"""Streaming readers of documents from files, folders, standard input and iterables."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from indexes.document import Document
from indexes.errors import BadRecord, FileFormatError, InputError
from retriever.formats.files.kinds import FILE_ENDINGS, FILE_KINDS, ending_of
from retriever.formats.files.plain import text_head
from retriever.formats.files.reading import check_package, read_file, read_image
from retriever.formats.folders import Item, Notes, read_folder
from retriever.formats.row_documents import Reading, read_iterable, read_row_documents
from retriever.formats.rows import ROW_ENDINGS
from retriever.formats.sources import STDIN, Source, locate, require_path, without_gz
from retriever.formats.tables.arrow import is_table
from retriever.images.check import check_image, require_pillow

# Whether the document of an id has an image of this checksum already.
IsKnown = Callable[[str, str], bool]
# Any also stands for tables in memory, such as data frames.
DocumentSource = str | os.PathLike[str] | Iterable[Document | Mapping[str, Any]] | Any

_OBJECTS = ('{"', "[{")
ENDINGS = ROW_ENDINGS | FILE_ENDINGS


def read_documents(
    source: DocumentSource,
    *,
    format: str | None = None,  # noqa: A002 -- the command line's word for it
    image: str | None = None,
    reading: Reading | None = None,
) -> Iterator[Document | BadRecord]:
    """Yield the documents of `source` in its order, and a `BadRecord` for each unusable record.

    `source` is a path, `"-"` for standard input, an iterable of `Document` or dict, or a table in
    memory (a data frame of pandas or polars, a table of pyarrow, or any other that Arrow reads):

    - `.jsonl`, `.ndjson`, `.json`: one object per line; blank lines are skipped. `.json` may also
      be one array of objects.
    - `.csv`, `.tsv`: a header row; empty metadata cells are omitted. CSV has RFC 4180 quotes; in
      TSV a quote is a character unless the whole file agrees with them (a `FileNote` says so).
      Where the extension's delimiter yields no known column, the one that the header has is used
      (comma, semicolon, tab or bar), and said.
    - `.parquet`, `.xlsx` (a sheet), `.db`, `.sqlite`, `.sqlite3` (a table or a query): nulls are
      omitted, dates and times become ISO text, decimals floats.
    - `.txt`, `.text`, `.rst`, `.org`, `.adoc`, `.asciidoc`, `.tex`, `.log`, and a file without
      extension whose content is text: one document with the file name as id. Text is UTF-8, or
      UTF-16 or UTF-32 with a byte-order mark.
    - `.md`, `.markdown`, `.mdown`, `.mkd`: the same, with front matter in YAML (`---`) or TOML
      (`+++`) as metadata. The title is that of the front matter, else the first heading, which also
      stays in the text. Front matter that cannot be read stays in the text (a `FileNote` says so).
    - `.html`, `.htm`, `.xhtml`, `.pdf`, `.docx`: one document with the text; the title is that of
      its properties, else the first heading (not of PDF).
    - `.jpg`, `.jpeg`, `.png`, `.webp`: one document with this image, and no text.
    - A folder: every file of these kinds below it, sorted, with relative paths as ids. Other files
      are listed as `SkippedFile`, as are files without any text; hidden files and folders are
      counted. With `format` text, all files are read that are text, whatever their extension.

    Each but an image and a database may be gzipped, with `.gz` after the extension. `format` (a
    kind of `ENDINGS`) overrides the extension; standard input defaults to jsonl and may be gzipped.

    `reading` says which columns hold the id, the title and the texts, which are joined by blank
    lines. Fields that it does not name are the id (`_id`, `doc_id` or `id`), `text` and optionally
    `title`; where there is no such id or text, columns are guessed (`columns.guess.find_layout`),
    and ids made from the content where none is found. Every other field is metadata, and an object
    under `metadata` is merged into it. `image` names the field that holds the path of an image,
    relative to the file's folder; the text may then be missing. Each image is read to its end: an
    image that is missing, truncated, none, or of more than 178,956,970 pixels makes a record
    unusable. Duplicate ids are not checked. An empty file yields nothing. Memory does not grow with
    the source, but by some bytes for each id that is made.

    Raises:
        FileFormatError: a file does not match its extension, is truncated, has an unknown
            extension, or is a table without a column that can be the text (or that of images).
            Raised during iteration where only reading can detect it.
        EmptySourceError: a folder has no document.
        InputError: `source` does not exist, cannot be read, or is neither path nor iterable; or a
            package is not installed that reads it.
    """
    found = read_records(source, format=format, image=image, reading=reading)
    return (item for _, item in found)


def read_records(
    source: DocumentSource,
    *,
    format: str | None = None,  # noqa: A002
    image: str | None = None,
    reading: Reading | None = None,
    is_known: IsKnown = lambda doc_id, checksum: False,
) -> Iterator[Item]:
    """Yield `(place, item)` for every item of `read_documents`.

    An image that `is_known`, by the id of its document and its checksum, has been decoded before
    and is not again. The place is `corpus.jsonl:17` (the line where the record starts),
    `corpus.parquet:row 3`, `record 3` of an iterable, or the path of a text file.
    """
    reading = replace(reading or Reading(), image=image)
    if isinstance(source, str | os.PathLike):
        return _checked(_read_path(os.fspath(source), format, reading), is_known)
    if format is not None:
        raise InputError(f"format '{format}' is for files; the source is {_kind(source)}.")
    one = isinstance(source, Document | Mapping | bytes)
    if one or not (isinstance(source, Iterable) or is_table(source)):
        raise InputError(
            f"The source is {_kind(source)}; expected a path or an iterable of Document or dict. "
            "For one document, pass a list of one."
        )
    return _checked(read_iterable(source, reading), is_known)


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


def check_source(
    source: DocumentSource,
    *,
    format: str | None = None,  # noqa: A002
    reading: Reading | None = None,
) -> None:
    """Raise the errors of `read_records` that need no reading: missing path, unknown extension."""
    read_records(source, format=format, reading=reading)


def _kind(source: object) -> str:
    return f"of type {type(source).__name__}"


def _read_path(name: str, kind: str | None, reading: Reading) -> Iterator[Item]:
    if name != STDIN and require_path(name).is_dir():
        if kind not in (None, "text"):
            wrong = f"format '{kind}' is for files"
            raise InputError(f"{name} is a folder, read as one document for each file; {wrong}.")
        _check_no_columns(f"{name} is a folder", reading)
        return read_folder(name, as_text=kind == "text")
    source = locate(name, kind or _kind_by_content(name), ENDINGS, "jsonl", asked="--format")
    if source.kind in FILE_KINDS:
        _check_no_columns(f"{name} is {source.kind}", reading)
        if name == STDIN:
            raise InputError(
                f"A document ({source.kind}) on standard input has no id. Give a file."
            )
        check_package(source.kind, name)
        return _read_file(source)
    reading.part.check(source)
    return read_row_documents(source, reading)


def _check_no_columns(what: str, reading: Reading) -> None:
    """Refuse options for tables with what has no columns."""
    if given := reading.given:
        raise InputError(f"{what}, without columns; '{given[0]}' (--{given[0]}) is for tables.")


def _kind_by_content(name: str) -> str | None:
    """Return the kind of a file whose name has no extension, if its content is text.

    What starts as objects in JSON more likely holds many documents: its format has to be given.
    """
    if name == STDIN or ending_of(Path(name).name) or not Path(name).is_file():
        return None
    source = Source(name, "text", name.lower().endswith(".gz"))
    try:
        head = text_head(source)
    except FileFormatError:
        return None
    return None if head is None or head.lstrip().startswith(_OBJECTS) else "text"


def _read_file(source: Source) -> Iterator[Item]:
    if source.kind == "image":
        yield source.name, read_image(source.name, Path(source.name).name)
        return
    doc_id = without_gz(Path(source.name).name)
    yield source.name, read_file(source, doc_id, source.name, Notes())
