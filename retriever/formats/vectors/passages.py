"""Names of passages in files: a document's id, or that with the passage's place in the text."""

from __future__ import annotations

import re
from typing import NamedTuple

from indexes.errors import InputError

PLACE = re.compile(r"(.*)\t(-?\d+)\t(-?\d+)", re.DOTALL)
# Where `str.splitlines` and readers of lines would end one.
BREAKS = re.compile(r"[\n\r]")


class PassageId(NamedTuple):
    """A document's id, and the characters of its text that a passage is, -1 for its image.

    Without a place, it is the only passage of the document.
    """

    doc_id: str
    start: int | None = None
    end: int | None = None


def passage_line(one: PassageId) -> str:
    """Return a passage as a line of an ids file: `doc_id`, or `doc_id<TAB>start<TAB>end`.

    Raises:
        InputError: the id has a line break, or blanks only: no line can hold it.
    """
    if BREAKS.search(one.doc_id) or not one.doc_id.strip():
        raise InputError(
            f"The id {one.doc_id!r} does not fit on a line of an ids file. Export to Parquet."
        )
    return one.doc_id if one.start is None else f"{one.doc_id}\t{one.start}\t{one.end}"


def passage_of(line: str, *, split: bool) -> PassageId:
    """Return the passage of a line; a place is looked for only if documents are `split`."""
    found = PLACE.fullmatch(line) if split else None
    return PassageId(found[1], int(found[2]), int(found[3])) if found else PassageId(line)


def shown_passage(one: PassageId) -> str:
    """Return a passage for messages: `'d1'`, or `'d1' (0 to 812)`."""
    return repr(one.doc_id) if one.start is None else f"{one.doc_id!r} ({one.start} to {one.end})"
