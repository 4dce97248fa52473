"""Relevance judgments (qrels) in BEIR, TREC and label files."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from indexes.errors import BadRecord, FileFormatError, InputError, short_repr
from retriever.formats.columns.check import one_of, requires
from retriever.formats.delimited import read_delimited
from retriever.formats.labels import is_label_file, label_rows
from retriever.formats.lines import (
    check_text,
    first_lines,
    read_lines,
    refuse_carriage_returns,
    strip_bom,
    take_records,
)
from retriever.formats.rows import Row
from retriever.formats.sources import STDIN, Source, open_source, require_path, without_gz
from retriever.formats.trec import check_token
from retriever.formats.writing import atomic_writer, delimited_line, header_line

# trec_eval allocates for every grade up to the highest in every call: a timestamp or an id in the
# grade column would exhaust memory.
HIGHEST_GRADE = 1_000_000
QREL_COLUMNS = (("query-id", "query_id"), ("corpus-id", "doc_id"), ("score", "relevance"))
BEIR_HEADER = ("query-id", "corpus-id", "score")
CSV_HEADER = ("query_id", "doc_id", "relevance")
TREC_ENDINGS = (".qrels", ".trec")
DELIMITERS = ("\t", ",", ";")


def read_qrels(source: str | os.PathLike[str]) -> dict[str, dict[str, int]]:
    """Read judgments: query_id to doc_id to grade, in the file's order.

    The first line decides the format, whatever the file name: columns separated by tabs, commas or
    semicolons under a header (BEIR's `query-id`, `corpus-id`, `score`, or `query_id`, `doc_id`,
    `relevance`; others are ignored), or TREC's four columns `query_id 0 doc_id grade` without a
    header. May be gzipped; `"-"` is standard input. Equal duplicate judgments count once.

    A grade is a whole number, which may be written `1.0`. In a label file, which also has the
    columns `query` and `text` (`write_label_file`), rows without a grade are skipped.

    Raises:
        BadRecordsError: malformed lines, grades that are not integers, judgments that contradict
            an earlier one; all of them together.
        InputError: the file does not exist, or has no judgments or labels.
        FileFormatError: the first line matches neither format, or the file is not text or is
            truncated.
    """
    name = os.fspath(source)
    if name != STDIN:
        require_path(name)
    qrels: dict[str, dict[str, int]] = {}
    with open_source(Source(name, "qrels", name.lower().endswith(".gz") or None)) as stream:
        take_records(_rows(stream, name), lambda row: _take_judgment(row, qrels))
    if not qrels:
        raise InputError(f"{name} holds no judgments.")
    return qrels


def write_qrels(path: str | os.PathLike[str], qrels: Mapping[str, Mapping[str, int]]) -> None:
    """Write query_id to doc_id to grade in the format of `path`'s extension, gzipped for `.gz`.

    `.csv` has the columns `query_id,doc_id,relevance`; `.qrels` and `.trec` are TREC's four
    columns; everything else is BEIR's TSV. Grades are whole numbers, also as 2.0 or True. A query
    without judgments writes no line.

    Raises:
        InputError: an id is empty, not valid Unicode, or holds white space in TREC's format; a
            grade is not whole, or beyond a million; `path` cannot be written. Nothing is written
            then.
    """
    ending = Path(without_gz(os.fspath(path))).suffix.lower()
    check = check_token if ending in TREC_ENDINGS else check_text
    whole: dict[str, dict[str, int]] = {}
    for query_id, grades in qrels.items():
        check("query id", query_id)
        if not isinstance(grades, Mapping):
            raise InputError(
                f"The judgments of query '{query_id}' are {type(grades).__name__}; expected a "
                "mapping of document id to grade."
            )
        whole[query_id] = {}
        for doc_id, grade in grades.items():
            check("document id", doc_id)
            whole[query_id][doc_id] = check_grade(query_id, doc_id, grade)
    with atomic_writer(path) as file:
        file.writelines(_lines(ending, whole))


def check_grade(query_id: str, doc_id: str, given: object) -> int:
    """Return a grade as `whole_grade`; InputError if it is not whole, or beyond a million."""
    grade = whole_grade(given)
    found = f"The grade of '{doc_id}' for query '{query_id}' is"
    if grade is None:
        raise InputError(f"{found} {short_repr(given)}; expected a whole number.")
    if abs(grade) > HIGHEST_GRADE:
        raise InputError(f"{found} {grade}; expected at most {HIGHEST_GRADE:,}.")
    return grade


def whole_grade(given: Any) -> int | None:
    """Return a grade as an integer, also from `2.0` as text or number; None if it is not whole."""
    if isinstance(given, str):
        found = _GRADE.fullmatch(given.strip())
        return int(found[1]) if found else None
    try:
        grade = int(given)
        return grade if grade == given else None
    except (TypeError, ValueError, OverflowError):
        return None


def _lines(ending: str, qrels: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    rows = (
        (query_id, doc_id, f"{grade}")
        for query_id, grades in qrels.items()
        for doc_id, grade in grades.items()
    )
    if ending in TREC_ENDINGS:
        yield from (f"{query_id} 0 {doc_id} {grade}\n" for query_id, doc_id, grade in rows)
        return
    header, delimiter = (CSV_HEADER, ",") if ending == ".csv" else (BEIR_HEADER, "\t")
    ids = itertools.chain(qrels, *qrels.values())
    yield header_line(header, delimiter, ids)
    for cells in rows:
        yield delimited_line(cells, delimiter)


def _rows(stream: Iterable[bytes], name: str) -> Iterator[Row]:
    """Return the rows under the names of `QREL_COLUMNS`, in the format of the first line."""
    lines = iter(stream)
    head = first_lines(lines)
    first = strip_bom(head[-1]).decode(errors="replace") if head else ""
    everything = itertools.chain(head, lines)
    words = first.split()
    # A TREC query may have the id `score,1`.
    if len(words) == 4 and _GRADE.fullmatch(words[3]):
        return _trec_rows(everything, name)
    delimiter, columns = _header(first)
    if any(columns & set(names) for names in QREL_COLUMNS):
        rows = read_delimited(everything, name, delimiter, requires(QREL_COLUMNS))
        return label_rows(rows, name) if is_label_file(columns) else rows
    if len(words) not in (0, 4):
        refuse_carriage_returns(head[-1], name)
        raise FileFormatError(
            f"{name} is not a file of judgments. Expected a header with query-id, corpus-id and "
            "score separated by tabs or commas, or TREC's four columns: query_id 0 doc_id grade."
        )
    return _trec_rows(everything, name)


def _header(line: str) -> tuple[str, set[str]]:
    """Return the delimiter that yields the most known columns of a line, and the cells."""
    known = {name for names in QREL_COLUMNS for name in names}
    split = [(mark, {cell.strip().strip('"') for cell in line.split(mark)}) for mark in DELIMITERS]
    return max(split, key=lambda found: len(found[1] & known))


def _trec_rows(lines: Iterable[bytes], name: str) -> Iterator[Row]:
    for place, line in read_lines(lines, name):
        yield place, line if isinstance(line, BadRecord) else _trec_row(place, line.split())


def _trec_row(place: str, cells: list[str]) -> dict[str, str] | BadRecord:
    if len(cells) != 4:
        return BadRecord(place, f"{len(cells)} columns; expected 'query_id 0 doc_id grade'")
    return dict(zip(BEIR_HEADER, (cells[0], cells[2], cells[3]), strict=True))


def _take_judgment(row: dict[str, Any], qrels: dict[str, dict[str, int]]) -> str | None:
    """Add the judgment of `row` to `qrels`, or return why it is unusable."""
    cells = [next((row[name] for name in names if name in row), "") for names in QREL_COLUMNS]
    for names, cell in zip(QREL_COLUMNS, cells, strict=True):
        if not cell.strip():
            return f"no {one_of(names)}"
    query_id, doc_id, cell = cells
    grade = whole_grade(cell)
    if grade is None:
        return f"grade '{cell}' is not a whole number"
    if abs(grade) > HIGHEST_GRADE:
        return f"grade '{cell}' is beyond {HIGHEST_GRADE:,}; is it a grade?"
    grades = qrels.setdefault(query_id, {})
    if grades.setdefault(doc_id, grade) != grade:
        reason = f"query '{query_id}' and document '{doc_id}' were judged {grades[doc_id]} before"
        return f"{reason}, here {grade}"
    return None


# Python's int() would also accept "1_000" and digits of other scripts.
_GRADE = re.compile(r"([+-]?[0-9]{1,18})(?:\.0*)?")
