"""Whether files are, to the byte, what they were: so that nothing has to be read again."""

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
    """The fingerprint of the sources of one call, and of all that decides how they are read.

    Calling it gives 32 bytes, or None where a source is no file: of a folder, standard input or an
    iterable nobody can know beforehand what it will give. None also where a file cannot be read:
    its reader says so better. A file is read again only when it was written to meanwhile.
    """

    sources: Sequence[object]
    reading: str
    _checksums: dict[str, tuple[Stamp, bytes]] = field(default_factory=dict)

    def __call__(self) -> bytes | None:
        """The fingerprint of the files as they are now."""
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
            # The name is the id of a text, its ending says how it is read, and the order which of
            # two equal ids is the bad one. No name holds a NUL: each ends where it does.
            total.update(path.name.encode("utf-8", "surrogatepass") + b"\0")
            total.update(self._checksum(path))
        return total.digest()

    def _checksum(self, path: Path) -> bytes:
        stamp = _stamp(path)
        known = self._checksums.get(str(path))
        if known is None or known[0] != stamp:
            with path.open("rb") as file:
                known = stamp, hashlib.file_digest(file, "sha256").digest()
            self._checksums[str(path)] = known
        return known[1]


def _stamp(path: Path) -> Stamp:
    facts = path.stat()
    return facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns
