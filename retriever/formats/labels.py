"""Label files: retrieved documents to grade in a spreadsheet, read back as judgments."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from indexes.errors import BadRecord, InputError, pluralize
from retriever.formats.columns.check import requires
from retriever.formats.columns.delimiters import find_delimiter
from retriever.formats.delimited import read_delimited
from retriever.formats.lines import check_text, is_unicode, take_records
from retriever.formats.rows import Row
from retriever.formats.sources import Source, open_source, require_path, without_gz
from retriever.formats.writing import atomic_writer, delimited_line

LABEL_COLUMNS = ("query_id", "doc_id", "relevance", "query", "title", "text", "found_by")
# The other columns may be deleted, for example to hide which index found what.
IDENTIFYING_COLUMNS = frozenset({"query_id", "doc_id", "relevance", "query", "text"})

SHOWN_CHARACTERS = 500

# Prefixes that make a cell a formula in a spreadsheet, and the mark that makes it text.
FORMULA = ("=", "+", "-", "@")
MARK = "'"

# Ids that a spreadsheet leaves unchanged: an integer short enough to be shown in full, or text that
# begins with a letter and is neither a date ("MAR1") nor a boolean.
_WHOLE = re.compile(r"0|[1-9][0-9]{0,10}")
_MONTH = (
    "jan(uary)?|feb(ruary)?|mar(ch)?|apr(il)?|may|june?|july?|aug(ust)?|sep(t(ember)?)?|"
    "oct(ober)?|nov(ember)?|dec(ember)?"
)
_CONVERTED = re.compile(rf"true|false|({_MONTH})([-/., ]*[0-9]+)+", re.IGNORECASE)
# A spreadsheet may turn an integer into 1.0, or 1,0 where the decimal separator is a comma.
_WHOLE_DECIMAL = re.compile(r"([+-]?[0-9]+)[.,]0+")
_GRADE = re.compile(r"[+-]?[0-9]{1,7}")


@dataclass(frozen=True)
class LabelRow:
    """A document retrieved for a query, the systems that found it, and its grade once judged."""

    query_id: str
    query: str
    doc_id: str
    title: str
    text: str
    found_by: str
    relevance: int | None = None


def refuse_existing(path: str | os.PathLike[str]) -> None:
    """Raise `InputError` if the label file `path` already exists."""
    if Path(path).exists():
        advice = "Choose another name or remove it first."
        raise InputError(f"{os.fspath(path)} already exists and may hold labels. {advice}")


def write_label_file(
    path: str | os.PathLike[str], rows: Iterable[LabelRow], *, replace: bool = False
) -> None:
    """Write `rows`, in their order, as a CSV file with the columns `LABEL_COLUMNS`.

    The column `relevance` is empty where a row has no grade: an assessor enters an integer, 0 for a
    document that does not answer the query, and `read_qrels` reads it. UTF-8 with a byte-order
    mark, by which spreadsheets detect it; RFC 4180 quotes and line ends; gzipped if `path` ends in
    `.gz`.

    Texts are one line of at most 500 characters. A text that a spreadsheet would read as a formula
    gets a leading apostrophe, and so does an id that it would change (`007`, `1e5`, `MAR1`);
    `read_qrels` removes it, so ids round-trip.

    Raises:
        InputError: `path` exists and is not to be replaced, an id is empty, a text is not valid
            Unicode, a document is repeated for one query, or `path` cannot be written. Nothing is
            written then.
    """
    if not replace:
        refuse_existing(path)
    lines = [_line(row) for row in _checked(rows)]
    with atomic_writer(path) as file:
        file.write("\ufeff" + delimited_line(LABEL_COLUMNS, ",", "\r\n"))
        file.writelines(lines)


def read_label_file(path: str | os.PathLike[str]) -> list[LabelRow]:
    """Read the rows of a label file, with or without a grade, in the file's order.

    Texts are as `write_label_file` wrote them, one line of at most 500 characters.

    Raises:
        BadRecordsError: malformed rows, and grades that are no whole numbers; all of them together.
        InputError: the file does not exist.
        FileFormatError: it lacks a column.
    """
    rows: list[LabelRow] = []
    name = os.fspath(path)
    require_path(name)
    required = requires(tuple((column,) for column in sorted(IDENTIFYING_COLUMNS)))
    with open_source(Source(name, "csv", without_gz(name) != name)) as stream:
        # A spreadsheet writes that of its country.
        delimiter = find_delimiter(stream.peek(), ",", frozenset(LABEL_COLUMNS))
        found = read_delimited(stream, name, delimiter, required)
        take_records(found, lambda row: _take_row(_restored({"relevance": "", **row}), rows))
    return rows


def _take_row(row: dict[str, Any], rows: list[LabelRow]) -> str | None:
    """Append a row; return why it cannot be used, if so."""
    for name in ("query_id", "doc_id"):
        if not row.get(name):
            return f"no {name}"
    grade = row["relevance"]
    if grade and not _GRADE.fullmatch(grade):
        return f"grade '{grade}' is not a whole number"
    query, title, text, found_by = (
        _unmarked(row.get(name, "")) for name in ("query", "title", "text", "found_by")
    )
    rows.append(
        LabelRow(
            *(row["query_id"], query, row["doc_id"], title, text, found_by),
            relevance=int(grade) if grade else None,
        )
    )
    return None


def is_label_file(columns: Iterable[str]) -> bool:
    """Return whether a table with these columns is a label file, where grades may be blank."""
    return set(columns) >= IDENTIFYING_COLUMNS


def label_rows(rows: Iterable[Row], name: str) -> Iterator[Row]:
    """Yield the labeled rows of label file `name`, with original ids and integer grades.

    If no row is labeled, raises `InputError` after the last.
    """
    unlabeled = labeled = 0
    for place, row in rows:
        if isinstance(row, BadRecord) or row.get("relevance", "").strip():
            labeled += 1
            yield place, row if isinstance(row, BadRecord) else _restored(row)
        elif "doc_id" in row:
            unlabeled += 1
    if unlabeled and not labeled:
        raise InputError(
            f"{name} has {pluralize(unlabeled, 'row')} and no label yet. Enter a whole number "
            "under 'relevance' in at least one, 0 for a document that does not answer its query."
        )


def _checked(rows: Iterable[LabelRow]) -> Iterator[LabelRow]:
    seen = set()
    for row in rows:
        check_text("query id", row.query_id)
        check_text("document id", row.doc_id)
        if not all(map(is_unicode, astuple(row)[:-1])):
            texts = f"text of document '{row.doc_id}' or query '{row.query_id}'"
            raise InputError(f"The {texts} is not valid Unicode.")
        pair = (row.query_id, row.doc_id)
        if pair in seen:
            raise InputError(f"Document '{row.doc_id}' occurs twice for query '{row.query_id}'.")
        seen.add(pair)
        yield row


def _line(row: LabelRow) -> str:
    ids = _marked_id(row.query_id), _marked_id(row.doc_id)
    grade = "" if row.relevance is None else str(row.relevance)
    texts = [_marked(one_line(text)) for text in (row.query, row.title, row.text, row.found_by)]
    return delimited_line((*ids, grade, *texts), ",", "\r\n")


def _marked_id(text: str) -> str:
    kept = _WHOLE.fullmatch(text) or (text[0].isalpha() and not _CONVERTED.fullmatch(text))
    return text if kept else MARK + text


def one_line(text: str) -> str:
    """Return a text as label files have it: one line of at most 500 characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if len(line) > SHOWN_CHARACTERS:
        line = line[: SHOWN_CHARACTERS - 4].rstrip() + " ..."
    return line


def _marked(line: str) -> str:
    return MARK + line if line.startswith(FORMULA) else line


def _unmarked(line: str) -> str:
    return line[1:] if line[:1] == MARK and line[1:].startswith(FORMULA) else line


def _restored(row: dict[str, Any]) -> dict[str, Any]:
    grade = row["relevance"].strip()
    whole = _WHOLE_DECIMAL.fullmatch(grade)
    restored = {**row, "relevance": whole[1] if whole else grade}
    for key in ("query_id", "doc_id"):
        if key in row:
            restored[key] = row[key].removeprefix(MARK)
    return restored
