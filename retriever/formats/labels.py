"""Label files: retrieved documents to grade in a spreadsheet, read back as judgments."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from indexes.errors import BadRecord, InputError, pluralize
from retriever.formats.lines import check_text, is_unicode
from retriever.formats.rows import Row
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


@dataclass(frozen=True)
class UnjudgedDocument:
    """An unjudged document retrieved for a query, and the systems that found it."""

    query_id: str
    query: str
    doc_id: str
    title: str
    text: str
    found_by: str


def refuse_existing(path: str | os.PathLike[str]) -> None:
    """Raise `InputError` if the label file `path` already exists."""
    if Path(path).exists():
        advice = "Choose another name or remove it first."
        raise InputError(f"{os.fspath(path)} already exists and may hold labels. {advice}")


def write_label_file(path: str | os.PathLike[str], rows: Iterable[UnjudgedDocument]) -> None:
    """Write `rows`, in their order, as a CSV file with the columns `LABEL_COLUMNS`.

    The column `relevance` is empty: an assessor enters an integer, 0 for a document that does not
    answer the query, and `read_qrels` reads it. UTF-8 with a byte-order mark, by which spreadsheets
    detect it; RFC 4180 quotes and line ends; gzipped if `path` ends in `.gz`.

    Texts are one line of at most 500 characters. A text that a spreadsheet would read as a formula
    gets a leading apostrophe, and so does an id that it would change (`007`, `1e5`, `MAR1`);
    `read_qrels` removes it, so ids round-trip.

    Raises:
        InputError: `path` exists, an id is empty, a text is not valid Unicode, a document is
            repeated for one query, or `path` cannot be written. Nothing is written then.
    """
    refuse_existing(path)
    lines = [_line(row) for row in _checked(rows)]
    with atomic_writer(path) as file:
        file.write("\ufeff" + delimited_line(LABEL_COLUMNS, ",", "\r\n"))
        file.writelines(lines)


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


def _checked(rows: Iterable[UnjudgedDocument]) -> Iterator[UnjudgedDocument]:
    seen = set()
    for row in rows:
        check_text("query id", row.query_id)
        check_text("document id", row.doc_id)
        if not all(map(is_unicode, astuple(row))):
            texts = f"text of document '{row.doc_id}' or query '{row.query_id}'"
            raise InputError(f"The {texts} is not valid Unicode.")
        pair = (row.query_id, row.doc_id)
        if pair in seen:
            raise InputError(f"Document '{row.doc_id}' occurs twice for query '{row.query_id}'.")
        seen.add(pair)
        yield row


def _line(row: UnjudgedDocument) -> str:
    ids = _marked_id(row.query_id), _marked_id(row.doc_id)
    texts = [_shown(text) for text in (row.query, row.title, row.text, row.found_by)]
    return delimited_line((*ids, "", *texts), ",", "\r\n")


def _marked_id(text: str) -> str:
    kept = _WHOLE.fullmatch(text) or (text[0].isalpha() and not _CONVERTED.fullmatch(text))
    return text if kept else MARK + text


def _shown(text: str) -> str:
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if len(line) > SHOWN_CHARACTERS:
        line = line[: SHOWN_CHARACTERS - 4].rstrip() + " ..."
    return MARK + line if line.startswith(FORMULA) else line


def _restored(row: dict[str, Any]) -> dict[str, Any]:
    grade = row["relevance"].strip()
    whole = _WHOLE_DECIMAL.fullmatch(grade)
    restored = {**row, "relevance": whole[1] if whole else grade}
    for key in ("query_id", "doc_id"):
        if key in row:
            restored[key] = row[key].removeprefix(MARK)
    return restored
