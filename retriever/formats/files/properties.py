"""What a file says about itself, as metadata: who wrote it, when, and its keywords."""

from __future__ import annotations

import datetime
import email.utils
import re
from collections.abc import Iterable
from typing import Any

from indexes.values import plain
from retriever.formats.columns.types import iso_text

# Also sorts before the days in it.
_YEAR_OR_MONTH = re.compile(r"[0-9]{4}(-[0-9]{2})?")


def properties(
    authors: Iterable[object] = (), date: object = None, keywords: Iterable[object] = ()
) -> dict[str, Any]:
    """Return `author` (several as a list), `date` (ISO text) and `keywords` (a list), where given.

    Authors are separated by semicolons, keywords by commas or semicolons. A date is a `datetime`,
    or text as in ISO 8601 or an e-mail (RFC 5322); another one is left out, as it would not sort by
    time.
    """
    names, words = _parts(authors, ";"), _parts(keywords, ",;")
    found: dict[str, Any] = {}
    if names:
        found["author"] = names if names[1:] else names[0]
    if day := _date(date):
        found["date"] = day
    if words:
        found["keywords"] = words
    return found


def _parts(texts: Iterable[object], marks: str) -> list[str]:
    """Return the parts of some texts between marks, each once, on one line, as valid Unicode."""
    parts = (
        " ".join(part.encode(errors="replace").decode().split())
        for text in texts
        if isinstance(text, str)
        for part in re.split(f"[{marks}]", text)
    )
    return list(dict.fromkeys(filter(None, parts)))


def _date(date: object) -> str:
    if isinstance(date, datetime.datetime):
        return str(plain(date))
    if not isinstance(date, str):
        return ""
    text = date.strip()
    if _YEAR_OR_MONTH.fullmatch(text):
        return text
    return iso_text(text) or _of_email(text)


def _of_email(text: str) -> str:
    try:
        return str(plain(email.utils.parsedate_to_datetime(text)))
    except ValueError:
        return ""
