"""Checksums of catalog rows: SQLite detects a broken page, but not a changed byte in a row.

Each is a CRC-32, which detects every change of up to 32 adjacent bits. The text of a document has
its own checksum (`text_checksum`), which also detects edits.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence
from typing import Any
from zlib import crc32

_BLAKE = hashlib.blake2b(digest_size=16)
_LENGTH = struct.Struct("<Q").pack
_PASSAGE = struct.Struct("<4q").pack


def text_checksum(title: str, text: str) -> bytes:
    """Return BLAKE2b of the title's length in bytes, the title and the text; 16 bytes."""
    start = title.encode()
    digest = _BLAKE.copy()  # cheaper than a new one
    digest.update(_LENGTH(len(start)) + start + text.encode())
    return digest.digest()


def document_row_checksum(document: int, doc_id: str, checksum: bytes, metadata: str) -> int:
    """Return the checksum of a document's row."""
    content = f"{document} {len(doc_id)} {doc_id} {metadata}"
    return crc32(checksum, crc32(content.encode("utf-8", "surrogatepass")))


def passage_row_checksum(key: int, document: int, start: int, stop: int) -> int:
    """Return the checksum of a passage's row."""
    return crc32(_PASSAGE(key, document, start, stop))


def image_row_checksum(document: int, source: str, path: str, checksum: str, copied: int) -> int:
    """Return the checksum of an image's row."""
    return crc32(f"{document} {len(source)} {source} {path} {checksum} {copied}".encode())


def members_row_checksum(origin: object, block: object, bits: bytes) -> int:
    """Return the checksum of a row of a source's members."""
    return crc32(bits, crc32(f"{origin} {block}".encode()))


def is_intact_document(row: Sequence[object]) -> bool:
    """Return whether a row (document, doc_id, checksum, metadata, seal) is as committed."""
    number, doc_id, checksum, metadata, row_checksum = row
    if not (isinstance(number, int) and isinstance(checksum, bytes)):
        return False
    return document_row_checksum(number, str(doc_id), checksum, str(metadata)) == row_checksum


def is_intact_passage(row: Sequence[object]) -> bool:
    """Return whether a row (key, document, start, stop, seal) is as committed."""
    *numbers, row_checksum = row
    integers = [number for number in numbers if isinstance(number, int)]
    return len(integers) == len(numbers) and passage_row_checksum(*integers) == row_checksum


def are_intact_hits(rows: Iterable[Sequence[Any]]) -> bool:
    """Return whether passages with their documents are as committed.

    Rows are (key, document, start, stop, seal), and the document's (document, doc_id, checksum,
    metadata, seal, title, text). The fast twin of `is_intact_passage` and `is_intact_document`, for
    every search: a value of a wrong type is False here. `test_checksums` holds them equal.
    """
    try:
        for row in rows:
            key, owner, start, stop, seal, number, doc_id, checksum, data, own, title, text = row
            content = f"{number} {len(doc_id)} {doc_id} {data}"
            if (
                crc32(_PASSAGE(key, owner, start, stop)) != seal
                or crc32(checksum, crc32(content.encode())) != own
                or text_checksum(title, text) != checksum
            ):
                return False
    except (AttributeError, TypeError, ValueError, struct.error):
        return False
    return True


def digest(tables: Iterable[Sequence[Sequence[Any]]]) -> bytes:
    """Return 16 bytes over complete tables, which change with any row."""
    total = hashlib.blake2b(digest_size=16)
    for rows in tables:
        total.update(repr(rows).encode("utf-8", "surrogatepass"))
    return total.digest()
