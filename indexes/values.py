"""Values as JSON has them: dates as text that sorts by time, numbers as numbers."""

from __future__ import annotations

import datetime
import decimal
import math
import uuid
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any

# What JSON has, but lists and objects.
PLAIN = frozenset({str, int, float, bool, type(None)})
# The missing values of pandas, which equal nothing.
_MISSING = frozenset({"NaTType", "NAType"})


def is_number(value: object) -> bool:
    """Return whether a value is a finite number, of any type but a truth value."""
    try:
        return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False


def as_list(value: object) -> list[Any] | None:
    """Return an iterable other than a text or bytes as a list; None for anything else."""
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        return None
    return list(value)


def plain(value: Any) -> Any:
    """Return `value` with what JSON lacks converted, at any depth, so that filters can compare it.

    Dates and times become ISO text, those with an offset in UTC, since texts of several offsets do
    not sort by time; decimals become floats; scalars of NumPy and pandas what they are in Python;
    arrays and tuples lists; UUIDs text; missing values None. Nanoseconds are cut to microseconds.
    Anything else is returned as it is, and so is what is nested too deep.
    """
    if type(value) in PLAIN:
        return value
    try:
        return _plain(value)
    except RecursionError:
        return value


def _plain(value: Any) -> Any:
    if type(value) in PLAIN:
        return value
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
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
        return value if isinstance(found, int) else _plain(found)  # beyond Python's calendar
    if isinstance(value, np.timedelta64):
        return value
    if isinstance(value, np.generic):
        return _plain(value.item()) if value.dtype.kind in "biufU" else value
    if isinstance(value, np.ndarray):
        return _plain(value.tolist() if value.dtype.kind in "biufU" else list(value))
    return value
