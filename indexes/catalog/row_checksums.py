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

from indexes.document import content_checksum

_PASSAGE = struct.Struct("<4q").pack


def document_row_checksum(document: int, doc_id: str, checksum: bytes, metadata: str) -> int:
    """The seal of a document's row: its number, its id, the checksum of its text, its metadata."""
    told = f"{document} {len(doc_id)} {doc_id} {metadata}"
    return crc32(checksum, crc32(told.encode("utf-8", "surrogatepass")))


def passage_row_checksum(key: int, document: int, start: int, stop: int) -> int:
    """The seal of a passage's row."""
    return crc32(_PASSAGE(key, document, start, stop))


def is_whole_document(row: Sequence[object]) -> bool:
    """Whether a row (document, doc_id, checksum, metadata, seal) is what was committed."""
    number, doc_id, checksum, metadata, row_checksum = row
    if not (isinstance(number, int) and isinstance(checksum, bytes)):
        return False
    return document_row_checksum(number, str(doc_id), checksum, str(metadata)) == row_checksum


def is_whole_passage(row: Sequence[object]) -> bool:
    """Whether a row (key, document, start, stop, seal) is what was committed."""
    key, document, start, stop, row_checksum = row
    if not (
        isinstance(key, int)
        and isinstance(document, int)
        and isinstance(start, int)
        and isinstance(stop, int)
    ):
        return False
    return passage_row_checksum(key, document, start, stop) == row_checksum


def are_whole_hits(rows: Iterable[Sequence[Any]]) -> bool:
    """Whether passages with their documents are certainly what was committed.

    Rows are (key, document, start, stop, seal), and the document's (document, doc_id, checksum,
    metadata, seal, title, text). All seals of all rows in one loop, for the path that each search
    takes: the same as one by one, but that a value of a wrong type is no more than a False here.
    """
    try:
        for (
            key,
            owner,
            start,
            stop,
            row_checksum,
            number,
            doc_id,
            checksum,
            data,
            own,
            title,
            text,
        ) in rows:
            told = f"{number} {len(doc_id)} {doc_id} {data}"
            if (
                crc32(_PASSAGE(key, owner, start, stop)) != row_checksum
                or crc32(checksum, crc32(told.encode())) != own
                or content_checksum(title, text) != checksum
            ):
                return False
    except (AttributeError, TypeError, ValueError, struct.error):
        return False
    return True


def digest(tables: Iterable[Sequence[Sequence[Any]]]) -> bytes:
    """16 bytes over whole tables: a row that is changed, lost or added gives others."""
    total = hashlib.blake2b(digest_size=16)
    for rows in tables:
        total.update(repr(rows).encode("utf-8", "surrogatepass"))
    return total.digest()
