"""Plain text in UTF-8, or in UTF-16 or UTF-32 with a byte-order mark."""

from __future__ import annotations

import codecs

from indexes.errors import InputError
from retriever.formats.files.content import Content
from retriever.formats.lines import invalid_utf8
from retriever.formats.sources import ENCODINGS, Source, open_source

# Enough to tell text from other bytes.
SNIFFED = 1 << 13

# In this order: the mark of UTF-32 begins as that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decode(raw: bytes) -> str:
    """Return the text of some bytes, without a byte-order mark.

    Raises:
        InputError: they are not UTF-8, or not what their mark says.
    """
    marked = marked_encoding(raw)
    try:
        return raw.decode(marked or "utf-8")
    except UnicodeDecodeError as error:
        if marked and marked != "utf-8-sig":
            raise InputError(f"invalid {marked.upper()} at byte {error.start + 1}") from None
        raise InputError(f"{invalid_utf8(error)}. Save it as UTF-8") from None


def marked_encoding(raw: bytes) -> str:
    """Return the encoding that a byte-order mark declares; "" if there is none."""
    return next((name for mark, name in _MARKS if raw.startswith(mark)), "")


def read_plain(raw: bytes) -> Content:
    """Return a text as it is."""
    return Content(decode(raw))


def text_head(source: Source) -> str | None:
    """Return how a text starts; None if the file does not start as text in UTF-8 without a NUL.

    Raises:
        InputError: it cannot be read.
        FileFormatError: it starts as a known format that is not text.
    """
    with open_source(source, ENCODINGS) as stream:
        head = stream.read(SNIFFED)
    encoding = marked_encoding(head) or "utf-8"
    try:
        # A character may be cut at the end.
        text = codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text
