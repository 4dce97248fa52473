"""Sources known again: by their names, and by fingerprints that detect whether they changed."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from indexes.document import Document
from indexes.errors import BadRecord, EmptySourceError, InputError
from retriever.formats.lines import is_unicode
from retriever.formats.sources import STDIN

Stamp = tuple[int, int, int, int]
# A file that is written twice between two ticks of the file system's clock keeps its times: until
# they are this old, they prove nothing.
SETTLED_NANOSECONDS = 2_000_000_000


@dataclass
class SourceFingerprint:
    """Fingerprint of the sources of one call and of the options that decide how they are read.

    Calling it returns 32 bytes, or None if a source is not a file or a folder (the content of
    standard input or an iterable is not known in advance) or cannot be read, which its reader
    reports better. A file is hashed, again only after it was written to. Of a folder, which may
    hold very many, the names, sizes, inodes and times of all files count.
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
            if path.is_dir():
                stamps = _stamps(path)
                if stamps is None:
                    return None
                total.update(stamps)
                continue
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


def _stamps(folder: Path) -> bytes | None:
    """Return a digest of the stamps of all files below a folder; None if one was just written.

    Hidden files and folders, which no reader reads, are left out.
    """
    total, latest = hashlib.sha256(), 0
    waiting = [os.fspath(folder)]
    while waiting:
        with os.scandir(waiting.pop()) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
                total.update(os.fsencode(entry.path) + b"/\0")
                continue
            try:
                status = entry.stat()
            except FileNotFoundError:  # a link to nowhere
                status = entry.stat(follow_symlinks=False)
            latest = max(latest, status.st_ctime_ns, status.st_mtime_ns)
            stamp = status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
            total.update(os.fsencode(entry.path) + b"\0" + repr(stamp).encode())
    return None if latest + SETTLED_NANOSECONDS > time.time_ns() else total.digest()


def source_name(source: object, given: str | None) -> str:
    """Return the name that a source is known by: `given`, or else its absolute path.

    Links are followed, so that a folder has one name. Standard input and iterables have none
    (empty), unless it is given.

    Raises:
        InputError: the given name is not text of at least one character.
    """
    if given is not None:
        is_text = isinstance(given, str) and is_unicode(given) and "\0" not in given
        if not is_text or not given.strip():
            raise InputError(f"The name of a source is {given!r}; expected text, such as 'crm'.")
        return given
    if not isinstance(source, str | os.PathLike) or source == STDIN:
        return ""
    try:
        return os.fsencode(os.path.realpath(source)).decode(errors="backslashreplace")
    except ValueError:  # no path that the system knows, which its reader reports better
        return str(source)


def is_missing(source: object) -> bool:
    """Return whether a source is a path where nothing is."""
    is_path = isinstance(source, str | os.PathLike) and source != STDIN
    return is_path and not Path(str(source)).exists()


def nothing_if_empty(
    items: Iterator[tuple[str, Document | BadRecord]],
) -> Iterator[tuple[str, Document | BadRecord]]:
    """Yield items; none for a folder without any file that is read."""
    try:
        yield from items
    except EmptySourceError:
        return
