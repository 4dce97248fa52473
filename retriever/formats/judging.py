"""Judgments made one by one, kept as a label file with a file of its queries beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from indexes.errors import InputError
from indexes.storage.files import writer_lock
from retriever.formats.labels import (
    SHOWN_CHARACTERS,
    LabelRow,
    one_line,
    read_label_file,
    write_label_file,
)
from retriever.formats.queries import write_queries

# Seconds to wait for another process that writes a judgment.
PATIENCE = 5.0
_NUMBERED = re.compile(r"q([0-9]{1,9})")


class JudgmentFile:
    """A label file that grows by one judgment at a time; threads and processes may share it.

    Its queries are in `queries_path`, which `compare --queries` reads, and the file itself is read
    by `--qrels`. A query is known by its text, and gets the id `q1`, `q2` and so on. A row without
    a grade says that the assessor was unsure. Every change replaces both files, and takes in what
    others wrote, such as grades entered in a spreadsheet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.queries_path = path.with_name(f"{path.stem}.queries.jsonl")

    def rows(self) -> list[LabelRow]:
        """Return all rows; none if there is no file yet. Errors as in `read_label_file`."""
        return read_label_file(self.path) if self.path.exists() else []

    def judge(self, row: LabelRow) -> None:
        """Enter the grade of a document, or that it is unsure, in the place of an earlier one.

        The id of the row's query is ignored.

        Raises:
            InputError: the query is empty or longer than a label file shows, or as in
                `write_label_file`.
            LockedError: another process writes for more than five seconds.
            CollectionError: the folder does not exist, or cannot be written to.
        """
        self._change(row.query, row.doc_id, row)

    def withdraw(self, query: str, doc_id: str) -> None:
        """Take back the judgment of a document, if there is one; errors as in `judge`."""
        self._change(query, doc_id, None)

    def _change(self, query: str, doc_id: str, new: LabelRow | None) -> None:
        text = judged_text(query)
        _make_folder(self.path.parent)
        with writer_lock(self.path.parent, PATIENCE):
            rows = self.rows()
            query_id = _id_of(text, rows)
            pairs = [(row.query_id, row.doc_id) for row in rows]
            if new is not None:
                new = replace(new, query_id=query_id, query=text)
            if (query_id, doc_id) in pairs:
                at = pairs.index((query_id, doc_id))
                rows[at : at + 1] = [new] if new else []
            elif new is not None:
                rows.append(new)
            write_label_file(self.path, rows, replace=True)
            write_queries(self.queries_path, queries_in(rows))


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}/ cannot be made: {error.strerror or error}.") from None


def judged_text(query: str) -> str:
    """Return the text of a query as label files have it.

    Raises:
        InputError: it is empty or too long.
    """
    text = one_line(query)
    if not text:
        raise InputError("There is no query to judge a document for: enter one first.")
    if len(" ".join(query.split())) > SHOWN_CHARACTERS:
        raise InputError(
            f"The query has more than {SHOWN_CHARACTERS} characters, which a label file does not "
            "hold. Judge documents for a shorter one."
        )
    return text


def grades_of(query: str, rows: Sequence[LabelRow]) -> dict[str, int | None]:
    """Return the grades of a query's documents by id; None where the assessor was unsure."""
    text = one_line(query)
    return {row.doc_id: row.relevance for row in rows if row.query == text}


def queries_in(rows: Sequence[LabelRow]) -> dict[str, str]:
    """Return the queries of some rows: query_id to text."""
    return {row.query_id: row.query for row in rows if row.query}


def qrels_in(rows: Sequence[LabelRow]) -> Mapping[str, Mapping[str, int]]:
    """Return the judgments in some rows: query_id to doc_id to grade."""
    qrels: dict[str, dict[str, int]] = {}
    for row in rows:
        if row.relevance is not None:
            qrels.setdefault(row.query_id, {})[row.doc_id] = row.relevance
    return qrels


def _id_of(text: str, rows: Sequence[LabelRow]) -> str:
    """Return the id of a query; of a new one, the first number after those in use."""
    for row in rows:
        if row.query == text:
            return row.query_id
    numbers = [int(found[1]) for row in rows if (found := _NUMBERED.fullmatch(row.query_id))]
    return f"q{max(numbers, default=0) + 1}"
