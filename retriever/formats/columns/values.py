"""Values of a record as JSON has them: dates as text that sorts by time, numbers as numbers."""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections.abc import Mapping
from typing import Any

from indexes.errors import InputError

# A float holds every whole number up to here.
EXACT = 2**53
# What JSON has, but lists and objects.
PLAIN = frozenset({str, int, float, bool, type(None)})
# The missing values of pandas, which equal nothing.
_MISSING = frozenset({"NaTType", "NAType"})


def plain(value: Any) -> Any:
    """Return `value` with what JSON lacks converted, at any depth, so that filters can compare it.

    Dates and times become ISO text, those with an offset in UTC, since texts of several offsets do
    not sort by time; decimals become floats; scalars of NumPy and pandas what they are in Python;
    arrays and tuples lists; UUIDs text; missing values None. Nanoseconds are cut to microseconds.
    Anything else is returned as it is.
    """
    if type(value) in PLAIN:
        return value
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if type(value).__name__ in _MISSING:
        return None
    if isinstance(value, datetime.datetime):
        return _time_text(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, uuid.UUID):
        return str(value)
    return _from_numpy(value)


def _time_text(value: datetime.datetime) -> str:
    if hasattr(value, "to_pydatetime"):  # pandas writes nine digits of a second
        value = value.to_pydatetime(warn=False)
    try:
        return (value if value.tzinfo is None else value.astimezone(datetime.UTC)).isoformat()
    except OverflowError:  # at either end of the calendar
        return value.isoformat()


def _from_numpy(value: Any) -> Any:
    """Return a scalar or array of NumPy as Python's; others as they are."""
    import numpy as np

    if isinstance(value, np.datetime64):
        if np.isnat(value):
            return None
        unit = "D" if np.datetime_data(value.dtype)[0] in ("Y", "M", "W", "D") else "us"
        found = value.astype(f"datetime64[{unit}]").item()
        return value if isinstance(found, int) else plain(found)  # beyond Python's calendar
    if isinstance(value, np.timedelta64):
        return value
    if isinstance(value, np.generic):
        return plain(value.item()) if value.dtype.kind in "biufU" else value
    if isinstance(value, np.ndarray):
        return plain(value.tolist() if value.dtype.kind in "biufU" else list(value))
    return value


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
    raise InputError(f"'{name}' is {type(value).__name__}; expected text")


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
    raise InputError(f"'{name}' is {type(value).__name__}; expected text")
