"""Queries and the judgments of their answers (qrels), as BEIR and TREC keep them."""

from __future__ import annotations

import io
import itertools
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from indexes.errors import BadRecord, FileFormatError, InputError
from retriever.formats.columns import one_of
from retriever.formats.delimited import read_delimited
from retriever.formats.faults import Faults
from retriever.formats.lines import is_unicode, read_lines, strip_bom
from retriever.formats.records import take_id
from retriever.formats.rows import ROW_ENDINGS, Row, read_rows
from retriever.formats.sources import STDIN, Source, locate, open_source, require_path
from retriever.formats.writing import replacing

__all__ = ["read_qrels", "read_queries", "write_qrels", "write_queries"]

QUERY_IDS = ("_id", "query_id", "qid", "id")
QUERY_COLUMNS = (QUERY_IDS, ("text",))
QREL_COLUMNS = (("query-id", "query_id"), ("corpus-id", "doc_id"), ("score", "relevance"))
QREL_HEADER = ("query-id", "corpus-id", "score")


def read_queries(
    source: str | os.PathLike[str],
    *,
    format: str | None = None,  # noqa: A002 -- the command line's word for it
) -> dict[str, str]:
    """Read queries: query_id to text, in the file's order.

    `source` is a file, or `"-"` for standard input (jsonl unless `format` says otherwise); each
    may be gzipped. Row formats (jsonl, csv, tsv, parquet) have the id under `_id`, `query_id`,
    `qid` or `id` and a `text`; other fields are not read. In `.txt` every line is a query and its
    id is the line's number, from "1"; blank lines are skipped.

    Raises:
        BadRecordsError: lines that are no query, an empty text, an id twice; all of them together.
        InputError: no such file, or no query in it.
        FileFormatError: a file that is not what its ending says, or of no known ending.
    """
    name = os.fspath(source)
    opened = locate(name, format, ROW_ENDINGS | {".txt": "txt"}, "jsonl")
    queries: dict[str, str] = {}
    faults = Faults()
    with open_source(opened) as stream:
        for place, row in _query_rows(stream, opened):
            bad = row if isinstance(row, BadRecord) else _take_query(place, row, queries)
            if bad:
                faults.add(bad)
    faults.raise_any()
    if not queries:
        raise InputError(f"{name} holds no queries.")
    return queries


def read_qrels(source: str | os.PathLike[str]) -> dict[str, dict[str, int]]:
    """Read judgments: query_id to doc_id to grade, in the file's order.

    The first line tells the format, whatever the file is called: BEIR's tab- or comma-separated
    columns under a header (`query-id`, `corpus-id`, `score`, or `query_id`, `doc_id`,
    `relevance`), or TREC's four columns `query_id 0 doc_id grade` without one. Gzipped or not;
    `"-"` is standard input. A judgment that is given twice alike counts once.

    Raises:
        BadRecordsError: lines that are no judgment, grades that are not whole numbers, judgments
            that contradict an earlier one; all of them together.
        InputError: no such file, or no judgment in it.
        FileFormatError: the first line is of neither format, or the file is not text or cut off.
    """
    name = os.fspath(source)
    if name != STDIN:
        require_path(name)
    qrels: dict[str, dict[str, int]] = {}
    faults = Faults()
    with open_source(Source(name, "qrels", name.lower().endswith(".gz") or None)) as stream:
        for place, row in _qrel_rows(stream, name):
            bad = row if isinstance(row, BadRecord) else _take_judgment(place, row, qrels)
            if bad:
                faults.add(bad)
    faults.raise_any()
    if not qrels:
        raise InputError(f"{name} holds no judgments.")
    return qrels


def write_queries(path: str | os.PathLike[str], queries: Mapping[str, str]) -> None:
    """Write query_id to text as BEIR's JSONL, gzipped if `path` ends in `.gz`.

    Raises:
        InputError: an id or a text is empty or no valid Unicode, or `path` cannot be written.
            Nothing is written then.
    """
    for query_id, text in queries.items():
        _refuse_fault("query id", query_id)
        _refuse_fault(f"text of query '{query_id}'", text)
    with replacing(path) as file:
        for query_id, text in queries.items():
            file.write(json.dumps({"_id": query_id, "text": text}, ensure_ascii=False) + "\n")


def write_qrels(path: str | os.PathLike[str], qrels: Mapping[str, Mapping[str, int]]) -> None:
    """Write query_id to doc_id to grade as BEIR's TSV with a header, gzipped for `.gz`.

    A query without judgments leaves no line.

    Raises:
        InputError: an id is empty or no valid Unicode, or `path` cannot be written. Nothing is
            written then.
    """
    for query_id, grades in qrels.items():
        for what, value in [("query id", query_id), *(("document id", key) for key in grades)]:
            _refuse_fault(what, value)
    with replacing(path) as file:
        file.write("\t".join(QREL_HEADER) + "\n")
        for query_id, grades in qrels.items():
            for doc_id, grade in grades.items():
                file.write(f"{_cell(query_id)}\t{_cell(doc_id)}\t{grade}\n")


def _cell(text: str) -> str:
    # Python's csv writer leaves a carriage return bare before 3.13, and its reader refuses it so.
    if any(character in text for character in '\t\r\n"'):
        doubled = text.replace('"', '""')
        return f'"{doubled}"'
    return text


def _refuse_fault(what: str, value: str) -> None:
    fault = _fault(what, value)
    if fault:
        raise InputError(f"The {fault}.")


def _fault(what: str, value: str) -> str:
    """What is wrong with an id or a text, or nothing."""
    if not value.strip():
        return f"{what} is empty"
    return "" if is_unicode(value) else f"{what} is not valid Unicode"


def _query_rows(stream: io.BufferedReader, source: Source) -> Iterator[Row]:
    if source.kind != "txt":
        return read_rows(stream, source, QUERY_COLUMNS)
    return _query_lines(stream, source.name)


def _query_lines(stream: Iterable[bytes], name: str) -> Iterator[Row]:
    for place, line in read_lines(stream, name):
        number = place.rpartition(":")[2]
        yield place, line if isinstance(line, BadRecord) else {"_id": number, "text": line.strip()}


def _take_query(place: str, row: dict[str, Any], queries: dict[str, str]) -> BadRecord | None:
    """Add the query that `row` is to `queries`, or say why it is none."""
    try:
        query_id = take_id(row, QUERY_IDS)
    except InputError as error:
        return BadRecord(place, str(error))
    if "text" not in row:
        return BadRecord(place, "no 'text'")
    text = row["text"]
    if not isinstance(text, str):
        return BadRecord(place, f"'text' is {type(text).__name__}; expected text")
    fault = _fault("the query id", query_id) or _fault("'text'", text)
    if query_id in queries:
        fault = f"query id '{query_id}' was given before"
    if fault:
        return BadRecord(place, fault)
    queries[query_id] = text
    return None


def _qrel_rows(stream: Iterable[bytes], name: str) -> Iterator[Row]:
    """The rows under `QREL_HEADER`'s names or their like, the format told by the first line."""
    lines = iter(stream)
    head: list[bytes] = []
    for raw in lines:
        head.append(raw)
        if strip_bom(raw).strip():
            break
    first = strip_bom(head[-1]).decode(errors="replace") if head else ""
    whole = itertools.chain(head, lines)
    delimiter = "\t" if "\t" in first else ","
    cells = {cell.strip().strip('"') for cell in first.split(delimiter)}
    if any(cells & set(names) for names in QREL_COLUMNS):
        return read_delimited(whole, name, delimiter, QREL_COLUMNS)
    if len(first.split()) not in (0, 4):
        raise FileFormatError(
            f"{name} is not a file of judgments. Expected a header with query-id, corpus-id and "
            "score between tabs or commas, or TREC's four columns: query_id 0 doc_id grade."
        )
    return _trec_rows(whole, name)


def _trec_rows(lines: Iterable[bytes], name: str) -> Iterator[Row]:
    for place, line in read_lines(lines, name):
        if isinstance(line, BadRecord):
            yield place, line
            continue
        cells = line.split()
        if len(cells) == 4:
            yield place, dict(zip(QREL_HEADER, (cells[0], cells[2], cells[3]), strict=True))
        else:
            reason = f"{len(cells)} columns; expected 'query_id 0 doc_id grade'"
            yield place, BadRecord(place, reason)


def _take_judgment(
    place: str, row: dict[str, Any], qrels: dict[str, dict[str, int]]
) -> BadRecord | None:
    """Add the judgment that `row` is to `qrels`, or say why it is none."""
    cells = [next((row[name] for name in names if name in row), "") for names in QREL_COLUMNS]
    for names, cell in zip(QREL_COLUMNS, cells, strict=True):
        if not cell.strip():
            return BadRecord(place, f"no {one_of(names)}")
    query_id, doc_id, grade = cells
    if not _GRADE.fullmatch(grade.strip()):
        return BadRecord(place, f"grade '{grade}' is not a whole number")
    grades = qrels.setdefault(query_id, {})
    if grades.setdefault(doc_id, int(grade)) != int(grade):
        reason = f"query '{query_id}' and document '{doc_id}' were judged {grades[doc_id]} before"
        return BadRecord(place, f"{reason}, here {int(grade)}")
    return None


# Python's int() would also take "1_000" and other scripts' digits; 18 digits are a C long.
_GRADE = re.compile(r"[+-]?[0-9]{1,18}")
