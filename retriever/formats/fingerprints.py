"""Fingerprints that detect whether source files have changed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from retriever.formats.sources import STDIN

Stamp = tuple[int, int, int, int]


@dataclass
class SourceFingerprint:
    """Fingerprint of the sources of one call and of the options that decide how they are read.

    Calling it returns 32 bytes, or None if a source is not a file (the content of a folder,
    standard input or an iterable is not known in advance) or cannot be read, which its reader
    reports better. A file is hashed again only after it was written to.
    """

    sources: Sequence[object]
    reading: str
    _checksums: dict[str, tuple[Stamp, bytes]] = field(default_factory=dict)

    def __call__(self) -> bytes | None:
        """Return the fingerprint of the current files."""
        try:
            return self._total()
        except OSError:
            return None

    def _total(self) -> bytes | None:
        total = hashlib.sha256(self.reading.encode())
        for source in self.sources:
            if not isinstance(source, str | os.PathLike) or source == STDIN:
                return None
            path = Path(source)
            if not path.is_file():
                return None
            # A name may be a document id, its extension decides the format, and the order decides
            # which of two equal ids is the bad one. No name holds a NUL, so NUL ends it.
            total.update(path.name.encode("utf-8", "surrogatepass") + b"\0")
            total.update(self._checksum(path))
        return total.digest()

    def _checksum(self, path: Path) -> bytes:
        status = path.stat()
        stamp = status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
        known = self._checksums.get(str(path))
        if known is None or known[0] != stamp:
            with path.open("rb") as file:
                known = stamp, hashlib.file_digest(file, "sha256").digest()
            self._checksums[str(path)] = known
        return known[1]
