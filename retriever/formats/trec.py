"""Checks of the values in TREC's columns, which are separated by white space."""

from __future__ import annotations

from indexes.errors import InputError
from retriever.formats.lines import is_unicode

BOM = "\ufeff"


def check_token(what: str, value: str) -> None:
    """Raise `InputError` if an id or tag, called `what`, would not round-trip in its column.

    A byte-order mark at the start of a file is dropped by a reader, so no value may begin with one.
    """
    if not value.strip():
        raise InputError(f"The {what} is empty; TREC's columns are separated by white space.")
    if value.split() != [value]:
        problem = "holds white space, which separates TREC's columns"
        raise InputError(
            f"The {what} {value!r} {problem}. Use another format, such as JSON lines or CSV, or "
            "choose one without."
        )
    if value.startswith(BOM):
        raise InputError(f"The {what} {value!r} begins with a byte-order mark. Remove it.")
    if not is_unicode(value):
        raise InputError(f"The {what} {value!r} is not valid Unicode.")
