"""UTF-8 text: the lines of a stream, each with its place, and what is not UTF-8."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator

from indexes.errors import BadRecord


def read_lines(stream: Iterable[bytes], name: str) -> Iterator[tuple[str, str | BadRecord]]:
    """Yield `(place, line)` for every line that is not blank; place is `name:number`, from 1.

    Lines come without their ends; one that is not UTF-8 comes as a `BadRecord`. A byte-order mark
    at the start is skipped. Only a line feed ends a line, so that text may hold anything else.
    """
    for number, raw in enumerate(stream, 1):
        place = f"{name}:{number}"
        try:
            line = (strip_bom(raw) if number == 1 else raw).decode().rstrip("\r\n")
        except UnicodeDecodeError as error:
            yield place, BadRecord(place, invalid_utf8(error))
            continue
        if line and not line.isspace():
            yield place, line


def strip_bom(raw: bytes) -> bytes:
    """`raw` without a leading UTF-8 byte-order mark."""
    return raw.removeprefix(codecs.BOM_UTF8)


def invalid_utf8(error: UnicodeDecodeError) -> str:
    """The reason for a bad record: the first byte that is not UTF-8, counted from 1."""
    return f"invalid UTF-8 at byte {error.start + 1}"


def is_unicode(text: str) -> bool:
    """Whether UTF-8 can hold `text`: no lone surrogates, which JSON's escapes can make."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def text_fault(what: str, value: str) -> str:
    """What is wrong with an id or a text called `what`: it is empty or no Unicode; or nothing."""
    if not value.strip():
        return f"{what} is empty"
    return "" if is_unicode(value) else f"{what} is not valid Unicode"
