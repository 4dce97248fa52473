"""Lines of UTF-8 text with their places, and the faults found in them."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from indexes.errors import BadRecord, BadRecordsError, FileFormatError, InputError, short_repr

# Enough to see what is wrong; a big file of another format must not fill memory.
KEPT = 1_000

T = TypeVar("T")


def first_lines(stream: Iterable[bytes]) -> list[bytes]:
    """Return the lines up to and including the first that is not blank."""
    head = []
    for raw in stream:
        head.append(raw)
        if strip_bom(raw).strip():
            break
    return head


def read_lines(stream: Iterable[bytes], name: str) -> Iterator[tuple[str, str | BadRecord]]:
    """Yield `(place, line)` for every line that is not blank; place is `name:number`, from 1.

    Line ends are removed; a line that is not UTF-8 becomes a `BadRecord`. A leading byte-order
    mark is skipped. Only a line feed ends a line, so text may hold any other separator; a file
    with carriage returns and no line feed is a `FileFormatError`.
    """
    for number, raw in enumerate(stream, 1):
        if number == 1 and not raw.endswith(b"\n"):
            refuse_carriage_returns(raw, name)
        place = f"{name}:{number}"
        try:
            line = (strip_bom(raw) if number == 1 else raw).decode().rstrip("\r\n")
        except UnicodeDecodeError as error:
            yield place, BadRecord(place, invalid_utf8(error))
            continue
        if line and not line.isspace():
            yield place, line


def refuse_carriage_returns(line: bytes, name: str) -> None:
    """Raise `FileFormatError` if a line of the file `name` holds carriage returns."""
    if b"\r" in line.strip():
        raise FileFormatError(
            f"{name} has carriage returns alone as line ends. Save it with line feeds, for example "
            r"with: tr '\r' '\n'"
        )


def strip_bom(raw: bytes) -> bytes:
    """Return `raw` without a leading UTF-8 byte-order mark."""
    return raw.removeprefix(codecs.BOM_UTF8)


def invalid_utf8(error: UnicodeDecodeError) -> str:
    """Return the reason for a bad record: the first byte that is not UTF-8, counted from 1."""
    return f"invalid UTF-8 at byte {error.start + 1}"


def is_unicode(text: str) -> bool:
    """Return whether `text` is valid Unicode, without lone surrogates (as JSON escapes allow)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def text_fault(what: str, value: object) -> str:
    """Return why an id or text is of another type, empty or not valid Unicode; "" if it is not."""
    if not isinstance(value, str):
        return f"{what} is {short_repr(value)}, not text"
    if not value.strip():
        return f"{what} is empty"
    return "" if is_unicode(value) else f"{what} is not valid Unicode"


def check_text(what: str, value: object) -> None:
    """Raise `InputError` with the `text_fault` of a value, if it has one."""
    if fault := text_fault(what, value):
        raise InputError(f"The {fault}.")


def take_records(
    records: Iterable[tuple[str, T | BadRecord]], take: Callable[[T], str | None]
) -> None:
    """Pass every record to `take`, which returns the reason if the record is bad.

    Bad records raise one `BadRecordsError`, with up to `KEPT` of them in their order.
    """
    kept: list[BadRecord] = []
    total = 0
    for place, record in records:
        if isinstance(record, BadRecord):
            bad = record
        elif reason := take(record):
            bad = BadRecord(place, reason)
        else:
            continue
        total += 1
        if len(kept) < KEPT:
            kept.append(bad)
    if kept:
        raise BadRecordsError(kept, total, advice="Fix the lines and read the file again.")
