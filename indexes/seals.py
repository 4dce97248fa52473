"""Checksums over rows of the catalog: SQLite sees a broken page, but not a changed byte in a row.

Each is a CRC-32, which finds every change of up to 32 neighbouring bits for certain. The text of a
document has a checksum of its own (`documents.content_checksum`), by which changes are found too.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence
from typing import Any
from zlib import crc32

__all__ = [
    "digest",
    "document_seal",
    "is_whole_document",
    "is_whole_passage",
    "passage_seal",
]

_PASSAGE = struct.Struct("<4q").pack


def document_seal(document: int, doc_id: str, checksum: bytes, metadata: str) -> int:
    """The seal of a document's row: its number, its id, the checksum of its text, its metadata."""
    told = f"{document} {len(doc_id)} {doc_id} {metadata}"
    return crc32(checksum, crc32(told.encode("utf-8", "surrogatepass")))


def passage_seal(key: int, document: int, start: int, stop: int) -> int:
    """The seal of a passage's row."""
    return crc32(_PASSAGE(key, document, start, stop))


def is_whole_document(row: Sequence[object]) -> bool:
    """Whether a row (document, doc_id, checksum, metadata, seal) is what was committed."""
    number, doc_id, checksum, metadata, seal = row
    if not (isinstance(number, int) and isinstance(checksum, bytes)):
        return False
    return document_seal(number, str(doc_id), checksum, str(metadata)) == seal


def is_whole_passage(row: Sequence[object]) -> bool:
    """Whether a row (key, document, start, stop, seal) is what was committed."""
    key, document, start, stop, seal = row
    if not (
        isinstance(key, int)
        and isinstance(document, int)
        and isinstance(start, int)
        and isinstance(stop, int)
    ):
        return False
    return passage_seal(key, document, start, stop) == seal


def digest(tables: Iterable[Sequence[Sequence[Any]]]) -> bytes:
    """16 bytes over whole tables: a row that is changed, lost or added gives others."""
    total = hashlib.blake2b(digest_size=16)
    for rows in tables:
        total.update(repr(rows).encode("utf-8", "surrogatepass"))
    return total.digest()
