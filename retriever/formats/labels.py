"""Label files: found documents for a person to grade in a spreadsheet, read back as judgments."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from indexes.errors import BadRecord, InputError
from retriever.formats.cells import delimited_line
from retriever.formats.lines import is_unicode, text_fault
from retriever.formats.rows import Row
from retriever.formats.writing import replacing

LABEL_COLUMNS = ("query_id", "doc_id", "relevance", "query", "title", "text", "found_by")
# The rest may have been taken out, so that nobody sees what was found by which index.
TELLING_COLUMNS = frozenset({"query_id", "doc_id", "relevance", "query", "text"})

SHOWN_CHARACTERS = 500

# What makes a cell a formula for a spreadsheet; and our own mark that it is text.
FORMULA = ("=", "+", "-", "@")
MARK = "'"

# What a spreadsheet leaves as it is: a whole number that it shows whole, or a text that begins
# with a letter and is neither a month's day ("MAR1") nor a truth value.
_WHOLE = re.compile(r"0|[1-9][0-9]{0,10}")
_MONTH = (
    "jan(uary)?|feb(ruary)?|mar(ch)?|apr(il)?|may|june?|july?|aug(ust)?|sep(t(ember)?)?|"
    "oct(ober)?|nov(ember)?|dec(ember)?"
)
_CONVERTED = re.compile(rf"true|false|({_MONTH})([-/., ]*[0-9]+)+", re.IGNORECASE)
# A spreadsheet may make 1.0, or 1,0 where decimals have commas, of a whole number.
_WHOLE_DECIMAL = re.compile(r"([+-]?[0-9]+)[.,]0+")


@dataclass(frozen=True)
class PooledJudgment:
    """A document that was found for a query, and by what; nobody has judged it yet."""

    query_id: str
    query: str
    doc_id: str
    title: str
    text: str
    found_by: str


def refuse_labelled(path: str | os.PathLike[str]) -> None:
    """Refuse to write a label file over another.

    Raises:
        InputError: `path` exists.
    """
    if Path(path).exists():
        raise InputError(
            f"{os.fspath(path)} is there already and may hold labels. Give another name, or "
            "remove it first."
        )


def write_label_file(path: str | os.PathLike[str], rows: Iterable[PooledJudgment]) -> None:
    """Write `rows`, in their order, as a CSV file with the columns `LABEL_COLUMNS`.

    The column `relevance` is empty: a person enters a whole number, 0 for a document that does not
    answer the query. `read_qrels` reads what was entered. UTF-8 with a byte-order mark, which
    spreadsheets know it by; RFC 4180's quotes and line ends; gzipped if `path` ends in `.gz`.

    Texts are in one line of at most 500 characters. Where a spreadsheet would take a text for a
    formula, it gets a leading apostrophe; an id gets one also where the spreadsheet would change it
    (`007`, `1e5`, `MAR1`), and `read_qrels` takes it off again, so that ids come back as they were.

    Raises:
        InputError: `path` exists (it may hold labels), an id is empty, a text is no valid Unicode,
            a document comes twice for one query, or `path` cannot be written. Nothing is written
            then.
    """
    refuse_labelled(path)
    lines = [_line(row) for row in _checked(rows)]
    with replacing(path) as file:
        file.write("\ufeff" + delimited_line(LABEL_COLUMNS, ",", "\r\n"))
        file.writelines(lines)


def is_label_file(columns: Iterable[str]) -> bool:
    """Whether a table with these columns is a label file, where a blank grade is one to come."""
    return set(columns) >= TELLING_COLUMNS


def label_rows(rows: Iterable[Row], name: str) -> Iterator[Row]:
    """The labelled rows of a label file `name`, ids and grades as they were meant.

    Raises:
        InputError: there are rows, and none is labelled. Raised after the last row.
    """
    unlabelled = labelled = 0
    for place, row in rows:
        if isinstance(row, BadRecord):
            labelled += 1
            yield place, row
        elif row.get("relevance", "").strip():
            labelled += 1
            yield place, _as_meant(row)
        elif "doc_id" in row:
            unlabelled += 1
    if unlabelled and not labelled:
        count = "1 row" if unlabelled == 1 else f"{unlabelled:,} rows"
        raise InputError(
            f"{name} has {count} and no label yet. Enter a whole number under 'relevance' in at "
            "least one, 0 for a document that does not answer its query."
        )


def _checked(rows: Iterable[PooledJudgment]) -> Iterator[PooledJudgment]:
    seen = set()
    for row in rows:
        fault = text_fault("query id", row.query_id) or text_fault("document id", row.doc_id)
        if not fault and not all(map(is_unicode, astuple(row))):
            fault = (
                f"text of document '{row.doc_id}' or query '{row.query_id}' is not valid Unicode"
            )
        if fault:
            raise InputError(f"The {fault}.")
        pair = (row.query_id, row.doc_id)
        if pair in seen:
            raise InputError(
                f"Document '{row.doc_id}' is to be labelled twice for query '{row.query_id}'."
            )
        seen.add(pair)
        yield row


def _line(row: PooledJudgment) -> str:
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


def _as_meant(row: dict[str, Any]) -> dict[str, Any]:
    grade = row["relevance"].strip()
    whole = _WHOLE_DECIMAL.fullmatch(grade)
    meant = {**row, "relevance": whole[1] if whole else grade}
    for key in ("query_id", "doc_id"):
        if key in row:
            meant[key] = row[key].removeprefix(MARK)
    return meant
