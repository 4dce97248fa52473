"""Values of a record as its id and its text."""

from __future__ import annotations

import datetime
from typing import Any

from indexes.errors import InputError, described
from indexes.values import plain

# A float holds every whole number up to here.
EXACT = 2**53


def id_text(name: str, value: Any) -> str:
    """Return the id in column `name` as text; a whole number is written without a fraction.

    A column of whole numbers with gaps is read as floats by pandas, spreadsheets and Parquet.

    Raises:
        InputError: it is neither text nor a whole number, or missing.
    """
    if isinstance(value, str):
        return value
    found = plain(value)
    if isinstance(found, str) and not isinstance(value, datetime.date | datetime.time):
        return found
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found)
    if isinstance(found, float):
        if found.is_integer() and abs(found) < EXACT:
            return str(int(found))
        if found != found:
            raise InputError(f"'{name}' is NaN, a missing value; expected text or a whole number")
    raise InputError(f"'{name}' is {described(value)}; expected text or a whole number")


def text_of(name: str, value: Any) -> str:
    """Return the value of column `name` as text: a number as written, nothing for None.

    Raises:
        InputError: it is neither text nor a number nor a date.
    """
    if isinstance(value, str):
        return value
    found = plain(value)
    if found is None or (isinstance(found, float) and found != found):
        return ""
    if isinstance(found, str):
        return found
    if isinstance(found, int | float) and not isinstance(found, bool):
        whole = isinstance(found, float) and found.is_integer() and abs(found) < EXACT
        return str(int(found)) if whole else str(found)
    raise InputError(f"'{name}' is {described(value)}; expected text")
