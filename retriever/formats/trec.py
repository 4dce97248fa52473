"""What a column of TREC's files can hold: they are separated by white space."""

from __future__ import annotations

from indexes.errors import InputError
from retriever.formats.lines import is_unicode

BOM = "\ufeff"


def check_token(what: str, value: str) -> None:
    """Refuse an id or a tag, called `what`, that would not stay in its column as it is.

    Raises:
        InputError: `value` is empty, holds white space, begins with a byte-order mark (which a
            reader would drop from the start of a file), or is not valid Unicode.
    """
    if not value.strip():
        raise InputError(f"The {what} is empty; TREC's columns are separated by white space.")
    if value.split() != [value]:
        problem = "holds white space, which separates TREC's columns"
        raise InputError(f"The {what} {value!r} {problem}. Give it another without.")
    if value.startswith(BOM):
        raise InputError(f"The {what} {value!r} begins with a byte-order mark. Take it off.")
    if not is_unicode(value):
        raise InputError(f"The {what} {value!r} is not valid Unicode.")
