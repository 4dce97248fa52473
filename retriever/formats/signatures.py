"""What a file looks like from its first bytes, whatever its name says."""

from __future__ import annotations

from dataclasses import dataclass

HEAD_BYTES = 16


@dataclass(frozen=True)
class Signature:
    """A kind of file that is known by how it starts; `advice` says what to do with one."""

    start: bytes
    name: str
    advice: str


GZIP = Signature(b"\x1f\x8b", "gzip data", "Give it a name that ends in .gz")
PARQUET = Signature(b"PAR1", "a Parquet file", "Read it as parquet: by its ending or --format")
_OTHERS = (
    Signature(
        b"PK\x03\x04", "a zip archive or an office document", "Unpack it or export it as CSV"
    ),
    Signature(b"SQLite format 3\0", "an SQLite database", "Export its table as CSV"),
    Signature(b"%PDF-", "a PDF", "Extract its text first"),
    Signature(b"\xff\xfe", "UTF-16 text", "Save it as UTF-8"),
    Signature(b"\xfe\xff", "UTF-16 text", "Save it as UTF-8"),
)


def recognise(head: bytes) -> Signature | None:
    """The kind of file that starts with `head`; None for text, for nothing and for the unknown."""
    for signature in (GZIP, PARQUET, *_OTHERS):
        if head.startswith(signature.start):
            return signature
    return None
