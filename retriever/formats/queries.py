"""Readers and writers of queries: rows, lines of text, TREC topics."""

from __future__ import annotations

import io
import itertools
import json
import os
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from indexes.errors import (
    BadRecord,
    FileFormatError,
    FileNote,
    InputError,
    described,
    pluralize,
)
from indexes.images import Image
from retriever.formats.columns.check import Header, requires
from retriever.formats.columns.layout import Columns, Layout
from retriever.formats.columns.names import QUERY_ID_NAMES, QUERY_TEXT_NAMES, Roles, normal
from retriever.formats.columns.sampling import layout_of
from retriever.formats.delimited import read_delimited
from retriever.formats.lines import (
    check_text,
    first_lines,
    read_lines,
    strip_bom,
    take_records,
    text_fault,
)
from retriever.formats.records import take_id
from retriever.formats.rows import LOOSE, ROW_ENDINGS, Part, Row, open_rows
from retriever.formats.sources import Source, locate, open_source, without_gz
from retriever.formats.topics import looks_like_topics, read_topics, topic_text
from retriever.formats.writing import atomic_writer, delimited_line, header_line
from retriever.images.check import check_image

QUERY_IDS = ("_id", "query_id", "qid", "id")
QUERY_COLUMNS = (QUERY_IDS, ("text",))
QUERY_ROLES = Roles(
    QUERY_IDS,
    QUERY_ID_NAMES,
    (),
    QUERY_TEXT_NAMES,
    "of the rows' numbers",
    "--query-id, --query-text",
    image="image",
)
TOPIC_ENDINGS = dict.fromkeys((".topics", ".trec", ".xml", ".sgml"), "trec")
# What may follow the id of a query in a line of text.
MARKS = {"\t": "a tab", ":": "a colon", "|": "a bar", ";": "a semicolon", ",": "a comma"}
# What may follow it where it is a number: a text, too, may begin so.
NUMBER_MARKS = {" ": "a space", ". ": "a period", ") ": "a parenthesis"}
NUMBERED = re.compile(r"(\w*?)([0-9]{1,18})")
LONGEST_ID = 64
ENDINGS = ROW_ENDINGS | {".txt": "txt"} | TOPIC_ENDINGS


def read_queries(
    source: str | os.PathLike[str],
    *,
    format: str | None = None,  # noqa: A002
    id: str | None = None,  # noqa: A002 - the field's words, as in `Collection.add`
    text: str | Sequence[str] | None = None,
    sheet: str | None = None,
    table: str | None = None,
    sql: str | None = None,
) -> dict[str, str]:
    """Read queries: query_id to text, in the file's order.

    `source` is a file, or `"-"` for standard input (jsonl by default); either may be gzipped:

    - Row formats (jsonl, json, csv, tsv, parquet, xlsx, sqlite) have the id under `_id`,
      `query_id`, `qid` or `id` and a `text`, or in the columns `id` and `text` that are given;
      texts of several columns are joined by blank lines. What has neither is guessed as for
      documents, with a `FileNote`; without ids the number of the row is the id. Other fields are
      ignored. `sheet`, `table` and `sql` are as for documents.
    - TREC topics (`.topics`, `.trec`, `.xml`, `.sgml`, or `format="trec"`) give number and title,
      see `topics.read_topics`. So does a `.txt` that begins with `<top>`.
    - In any other `.txt` every line is a query with the line number as id, from "1"; blank lines
      are skipped. Where every line begins with an id and a tab (or one of `:|;,`), that is the id,
      and a `FileNote` says so; and where every line begins with a number and a space (or `. ` or
      `) `), after the same letters if any, and the numbers increase.

    Raises:
        BadRecordsError: malformed lines, empty texts, repeated ids; all of them together.
        InputError: the file does not exist, or has no queries.
        FileFormatError: a file does not match its extension, or has an unknown one.
    """
    how: dict[str, Any] = {"id": id, "text": text, "sheet": sheet, "table": table, "sql": sql}
    found = read_mixed_queries(source, format=format, **how)
    if images := [query_id for query_id, query in found.items() if isinstance(query, Image)]:
        raise InputError(
            f"{os.fspath(source)}: query '{images[0]}' is an image; expected texts only."
        )
    return cast(dict[str, str], found)


def read_mixed_queries(
    source: str | os.PathLike[str],
    *,
    format: str | None = None,  # noqa: A002
    id: str | None = None,  # noqa: A002
    text: str | Sequence[str] | None = None,
    sheet: str | None = None,
    table: str | None = None,
    sql: str | None = None,
) -> dict[str, str | Image]:
    """Read queries, texts and images: query_id to text or image; see `read_queries`.

    A row of JSON lines or Parquet without a `text` may have an `image`: the path of its file,
    relative to the folder of `source`.
    """
    name = os.fspath(source)
    opened = locate(name, format, ENDINGS, "jsonl", asked="read_queries(format=...)")
    wanted, part = Columns.of(id, None, text), Part(sheet, table, sql)
    part.check(opened)
    if wanted.given and opened.kind not in ROW_ENDINGS.values():
        raise InputError(f"{name} has no columns, as {opened.kind}; give it as a table.")
    queries: dict[str, str | Image] = {}
    if opened.kind in ROW_ENDINGS.values():
        rows = _table_rows(opened, wanted, part)
    else:
        rows = _text_rows(opened)
    take_records(rows, lambda row: _take_query(row, queries, opened.folder))
    if not queries:
        raise InputError(f"{name} holds no queries.")
    return queries


def write_queries(path: str | os.PathLike[str], queries: Mapping[str, str]) -> None:
    """Write query_id to text in the format of `path`'s extension, gzipped for a further `.gz`.

    `.jsonl` (or `.ndjson`, `.json`) is BEIR's; `.csv` and `.tsv` have the columns `query_id` and
    `text`; `.topics` and `.trec` are TREC topics with `<num>` and `<title>`, where `<` and white
    space other than single spaces become references such as `&#10;`. All formats round-trip.

    Raises:
        InputError: an id or text is empty or not valid Unicode, an id of a topic holds white space,
            `path` has another extension or cannot be written. Nothing is written then.
    """
    name = os.fspath(path)
    line = _WRITERS.get(Path(without_gz(name)).suffix.lower())
    if line is None:
        raise InputError(
            f"Queries cannot be written to {name}: expected an extension of "
            f"{', '.join(_WRITERS)}, optionally with .gz. Rename the file."
        )
    for query_id, text in queries.items():
        check_text("query id", query_id)
        check_text(f"text of query '{query_id}'", text)
        line(query_id, text)
    with atomic_writer(path) as file:
        if delimiter := {_csv_line: ",", _tsv_line: "\t"}.get(line):
            cells = itertools.chain(queries, queries.values())
            file.write(header_line(("query_id", "text"), delimiter, cells))
        for query_id, text in queries.items():
            file.write(line(query_id, text))


def _json_line(query_id: str, text: str) -> str:
    return json.dumps({"_id": query_id, "text": text}, ensure_ascii=False) + "\n"


def _csv_line(query_id: str, text: str) -> str:
    return delimited_line((query_id, text), ",")


def _tsv_line(query_id: str, text: str) -> str:
    return delimited_line((query_id, text), "\t")


_WRITERS = {
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), _json_line),
    **{".csv": _csv_line, ".tsv": _tsv_line},
    **dict.fromkeys((".topics", ".trec"), topic_text),
}


def _table_rows(source: Source, wanted: Columns, part: Part) -> Iterator[Row]:
    """Yield the rows of a table under `_id` and `text`, or as they are if these name them."""
    header = Header(loose=source.kind in LOOSE)
    known = QUERY_ROLES.known | {*wanted.given, *map(normal, wanted.given)}
    with open_rows(source, header, known, part) as rows:
        first: list[Row] = []
        for place, row in rows:
            if not isinstance(row, BadRecord):
                first = [(place, row)]
                break
            yield place, row
        if not first and header.names is None:
            return
        every: Iterator[Row] = itertools.chain(first, rows)
        layout, every = layout_of(source.name, every, header, wanted, QUERY_ROLES)
        for number, (place, row) in enumerate(every, 1):
            yield place, row if layout.exact else _query_row(place, row, layout, number)


def _query_row(
    place: str, row: dict[str, Any] | BadRecord, layout: Layout, number: int
) -> dict[str, Any] | BadRecord:
    """Return a row with its query under `_id` and `text`."""
    if isinstance(row, BadRecord):
        return row
    try:
        query_id = take_id(row, layout.ids) if layout.ids else str(number)
        if "image" in row and not any(name in row for name in layout.text):
            return {"_id": query_id, "image": row["image"]}
        return {"_id": query_id, "text": layout.take_text(row)}
    except InputError as error:
        return BadRecord(place, str(error))


def _text_rows(source: Source) -> Iterator[Row]:
    """Yield the queries of TREC topics, lines, or lines under a header."""
    with open_source(source) as stream:
        yield from _rows_of_text(stream, source)


def _rows_of_text(stream: io.BufferedReader, source: Source) -> Iterator[Row]:
    if source.kind == "trec":
        return read_topics(stream, source.name)
    head = first_lines(stream)
    lines = itertools.chain(head, stream)
    if head and looks_like_topics(head[-1]):
        return read_topics(lines, source.name)
    if head and _is_header(head[-1]):
        return read_delimited(lines, source.name, "\t", requires(QUERY_COLUMNS))
    return _query_lines(lines, source.name)


def _is_header(line: bytes) -> bool:
    cells = {cell.strip('"') for cell in strip_bom(line).decode(errors="replace").split()}
    return b"\t" in line and "text" in cells and not cells.isdisjoint(QUERY_IDS)


def _query_lines(stream: Iterable[bytes], name: str) -> Iterator[Row]:
    """Yield a query per line, with the id that every line begins with, or else the line number."""
    rows = list(read_lines(stream, name))
    mark = _id_mark({place: line.strip() for place, line in rows if isinstance(line, str)})
    if mark:
        what = (MARKS | NUMBER_MARKS)[mark]
        said = f"every line was read as a query id, {what} and the text of the query."
        if mark in NUMBER_MARKS:
            said += " Where texts begin with the number, write them as JSON lines or CSV."
        warnings.warn(f"{name}: {said}", FileNote, stacklevel=1)
    for place, line in rows:
        if isinstance(line, BadRecord):
            yield place, line
            continue
        query_id, _, text = line.strip().partition(mark) if mark else ("", "", line)
        yield place, {"_id": query_id.strip() or place.rpartition(":")[2], "text": text.strip()}


def _id_mark(lines: Mapping[str, str]) -> str:
    """Return the mark between the id and the text of every line; "" if lines are texts alone.

    A text seldom has a tab: where only some lines are an id, a tab and a text, which is meant
    cannot be known, and a `FileFormatError` names the line that differs.
    """
    if any("\t" in line for line in lines.values()):
        _check_tabs(lines)
        return "\t"
    texts = list(lines.values())
    clear = (mark for mark in MARKS if _are_ids(texts, mark))
    return next(clear, "") or next((mark for mark in NUMBER_MARKS if _numbered(lines, mark)), "")


def _check_tabs(lines: Mapping[str, str]) -> None:
    ids: set[str] = set()
    for place, line in lines.items():
        query_id, *texts = line.split("\t")
        if len(texts) != 1:
            fault = f"has {pluralize(len(texts), 'tab')}"
        elif not _is_id(query_id.strip()):
            fault = "begins with spaces in its id" if " " in query_id else "begins with a long id"
        elif query_id.strip() in ids:
            fault = f"repeats the id '{query_id.strip()}'"
        else:
            ids.add(query_id.strip())
            continue
        raise FileFormatError(
            f"{place} {fault}; expected an id, a tab and a text on every line, or no tabs. "
            "For other columns, give their names in the first line, such as query_id and text."
        )


def _is_id(text: str) -> bool:
    return len(text) <= LONGEST_ID and text.split() == [text]


def _are_ids(lines: Sequence[str], mark: str) -> bool:
    """Return whether `lines` begin with ids before `mark`: short, without spaces, all different.

    A text, too, may begin with a word and a mark: ids have digits, or there are several and the
    mark is a colon.
    """
    ids = [line.partition(mark)[0].strip() for line in lines if mark in line]
    if not ids or len(set(ids)) < len(lines) or not all(map(_is_id, ids)):
        return False
    if mark != "\t" and any(other in one for one in ids for other in MARKS):
        return False  # the first mark of a line ends its id
    return all(any(map(str.isdigit, one)) for one in ids) or (mark == ":" and len(ids) > 1)


def _numbered(lines: Mapping[str, str], mark: str) -> bool:
    """Return whether all lines begin with increasing numbers, or such ids as Q1, before `mark`.

    Raises:
        FileFormatError: the numbers are all different, but do not increase: these may be ids, too.
    """
    parts = [line.partition(mark) for line in lines.values()]
    starts = [NUMBERED.fullmatch(one) for one, found, _ in parts if found]
    found = [start for start in starts if start]
    if len(found) < max(2, len(lines)) or len({start[1] for start in found}) > 1:
        return False
    numbers = [int(start[2]) for start in found]
    if any(one >= other for one, other in itertools.pairwise(numbers)):
        if len(set(numbers)) < len(numbers):
            return False
        raise FileFormatError(
            f"{next(iter(lines))} and all other lines begin with a number of their own, which may "
            "be the id of the query or part of its text. Put a tab between an id and its text, or "
            "write the queries as JSON lines or CSV."
        )
    return True


def _take_query(row: dict[str, Any], queries: dict[str, str | Image], folder: Path) -> str | None:
    """Add the query of `row` to `queries`, or return why it is unusable."""
    try:
        query_id = take_id(row, QUERY_IDS)
    except InputError as error:
        return str(error)
    if "text" not in row and isinstance(row.get("image"), str):
        return _take_image(query_id, folder / row["image"], queries)
    if "text" not in row:
        return "no 'text'"
    text = row["text"]
    if not isinstance(text, str):
        return f"'text' is {described(text)}; expected text"
    fault = text_fault("'text'", text) or _id_fault(query_id, queries)
    if not fault:
        queries[query_id] = text
    return fault


def _take_image(query_id: str, path: Path, queries: dict[str, str | Image]) -> str | None:
    """Add a query by image to `queries`, or return why it is unusable."""
    if fault := _id_fault(query_id, queries):
        return fault
    try:
        image = Image.of(path)
        check_image(image)
    except InputError as error:
        return str(error).rstrip(".")
    queries[query_id] = image
    return None


def _id_fault(query_id: str, queries: Mapping[str, Any]) -> str | None:
    if query_id in queries:
        return f"query id '{query_id}' was given before"
    return text_fault("the query id", query_id)
