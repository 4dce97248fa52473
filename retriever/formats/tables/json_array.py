"""Objects of one JSON array, read one at a time."""

from __future__ import annotations

import codecs
import io
import json
from collections.abc import Iterator
from typing import Any

from indexes.errors import BadRecord, FileFormatError
from retriever.formats.jsonl import DECODER, json_fault, not_an_object
from retriever.formats.lines import invalid_utf8, strip_bom

CHUNK_BYTES = 1 << 16
# An array that is not JSON must not fill memory before that is seen.
LONGEST_ITEM = 1 << 26
_SPACE = " \t\r\n"

Row = tuple[str, dict[str, Any] | BadRecord]


def starts_array(head: bytes) -> bool:
    """Return whether a file that begins with `head` is one JSON array."""
    return strip_bom(head).lstrip().startswith(b"[")


def read_json_array(stream: io.BufferedReader, name: str) -> Iterator[Row]:
    """Yield `(place, object)` for every item of the array; place is `name:line` of its start.

    An item that is no object is a bad record. Memory is that of the longest item.

    Raises:
        FileFormatError: what follows an item is not JSON, so that no item after it can be read, or
            the array does not end.
    """
    text = _Text(stream, name)
    text.expect("[")
    while (mark := text.peek()) != "]":
        place = f"{name}:{text.line}"
        value = text.item()
        yield place, value if isinstance(value, dict) else not_an_object(place)
        mark = text.peek()
        if mark == ",":
            text.expect(",")
            if text.peek() == "]":
                raise text.fault("a comma before the end of the array")
        elif mark != "]":
            raise text.fault("expected a comma or the end of the array")
    text.expect("]")
    if text.peek():
        raise text.fault("more after the end of the array")


class _Text:
    """The characters of a stream from the present position on; `line` is its line, from 1."""

    def __init__(self, stream: io.BufferedReader, name: str) -> None:
        self.line = 1
        self._name = name
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._text = ""
        self._at = 0
        self._ended = False

    def peek(self) -> str:
        """Return the next character that is not blank; "" at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _SPACE:
                self.line += self._text[self._at] == "\n"
                self._at += 1
            if self._at < len(self._text) or not self._more(CHUNK_BYTES):
                return self._text[self._at : self._at + 1]

    def expect(self, mark: str) -> None:
        """Go beyond the next character, which must be `mark`."""
        if self.peek() != mark:
            raise self.fault(f"expected {mark!r}")
        self._at += 1

    def item(self) -> Any:
        """Return the next value and go beyond it."""
        size = CHUNK_BYTES
        while True:
            try:
                value, end = DECODER.raw_decode(self._text, self._at)
            except (ValueError, RecursionError) as error:
                # It may have ended with the part that was read.
                if len(self._text) - self._at > LONGEST_ITEM or not self._more(size):
                    raise self._fault_of(error) from None
            else:
                if end < len(self._text) or not self._more(size):
                    self.line += self._text.count("\n", self._at, end)
                    self._at = end
                    return value
            size *= 2

    def fault(self, reason: str) -> FileFormatError:
        """Return the error for what cannot be read at the present line."""
        return FileFormatError(
            f"{self._name}:{self.line}: not a JSON array: {reason}. No record after it can be read."
        )

    def _fault_of(self, error: Exception) -> FileFormatError:
        """Return the error for an item that cannot be decoded, with the line of the fault."""
        if not isinstance(error, json.JSONDecodeError):
            return self.fault(json_fault(error))
        self.line += self._text.count("\n", self._at, error.pos)
        return self.fault(error.msg.removesuffix(" at"))

    def _more(self, size: int) -> bool:
        """Read up to `size` more bytes; return whether there were any."""
        if self._ended:
            return False
        raw = self._stream.read(size)
        self._ended = not raw
        try:
            more = self._decoder.decode(raw, final=self._ended)
        except UnicodeDecodeError as error:
            raise self.fault(invalid_utf8(error).split(" at ")[0]) from None
        self._text = self._text[self._at :] + more
        self._at = 0
        return not self._ended
