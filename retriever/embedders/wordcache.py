"""The cache of converted word vectors: one folder a source, named by the source's SHA-256.

<cache>/words/<SHA-256>/     see wordwriter.py
<cache>/words/seen/<...>     the SHA-256 of a source by its path and what the system says of the
                             file, so that a source is read once and not at every opening

A folder is made under a temporary name and renamed, so that a crash, or two processes at once,
leave a whole one or none. One that is damaged is made again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from indexes.errors import InputError
from retriever.embedders.locate import cache_folder
from retriever.embedders.wordwriter import WordMeta, WordWriter, is_whole, read_meta

__all__ = ["cached", "checksum_of", "converted_before"]

HEX_DIGITS = 64
ABANDONED_SECONDS = 24 * 3600
Convert = Callable[[WordWriter, str], None]


def cached(sources: Sequence[Path], convert: Convert) -> tuple[Path, WordMeta]:
    """The folder of the sources' converted form, made by `convert(writer, checksum)` if need be.

    Raises:
        FileFormatError: from `convert`.
        InputError: the cache folder cannot be written.
    """
    root = cache_folder() / "words"
    try:
        root.mkdir(parents=True, exist_ok=True)
        if found := converted_before(sources):
            return found
        folder = root / checksum_of(sources)
        return folder, _make(folder, sources[0], convert)
    except OSError as error:
        raise InputError(
            f"{error.filename or root}: {error.strerror or error}. Models are converted into the "
            "cache folder; set RETRIEVER_CACHE to a folder that can be written and has room."
        ) from None


def converted_before(sources: Sequence[Path]) -> tuple[Path, WordMeta] | None:
    """The folder of the sources' converted form where there is a whole one."""
    folder = cache_folder() / "words" / checksum_of(sources)
    meta = read_meta(folder)
    return (folder, meta) if meta is not None and is_whole(folder, meta) else None


def checksum_of(sources: Sequence[Path]) -> str:
    """SHA-256, in hex, over the bytes of the files in their order; names do not count.

    It is remembered by path, size, inode and both times of change, to the nanosecond: `cp -p` and
    `rsync -t` give a new file the size and the time of an old one.
    """
    key = hashlib.sha256()
    for source in sources:
        state = source.stat()
        times = (state.st_mtime_ns, state.st_ctime_ns)
        facts = (source.resolve(), state.st_size, *times, state.st_ino, state.st_dev)
        key.update("".join(f"{fact}\0" for fact in facts).encode())
    memory = cache_folder() / "words" / "seen" / key.hexdigest()
    with suppress(OSError):
        remembered = memory.read_text("ascii", errors="replace")
        if len(remembered) == HEX_DIGITS:
            return remembered
    checksum = _hash(sources)
    # A cache that cannot be written may still hold what is looked for.
    with suppress(OSError):
        _remember(memory, checksum)
    return checksum


def _hash(sources: Sequence[Path]) -> str:
    digests = []
    for source in sources:
        with source.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256"))
    if len(digests) == 1:
        return digests[0].hexdigest()
    return hashlib.sha256(b"".join(digest.digest() for digest in digests)).hexdigest()


def _remember(memory: Path, checksum: str) -> None:
    memory.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=memory.parent)
    with os.fdopen(handle, "w") as file:
        file.write(checksum)
    Path(temporary).replace(memory)


def _make(folder: Path, source: Path, convert: Convert) -> WordMeta:
    _sweep(folder.parent)
    work = Path(tempfile.mkdtemp(prefix=".making-", dir=folder.parent))
    try:
        _convert(WordWriter(work, source), convert, folder.name)
        _put(work, folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    meta = read_meta(folder)
    if meta is None:
        raise InputError(f"{folder} was changed by someone else while it was made. Try again.")
    return meta


def _convert(writer: WordWriter, convert: Convert, checksum: str) -> None:
    try:
        convert(writer, checksum)
    finally:
        writer.close()


def _put(work: Path, folder: Path) -> None:
    """Renames `work` to `folder`; a damaged `folder` makes way, another process's whole one stays.

    A folder cannot be renamed onto one that is not empty, so nobody's files are ever mixed.
    """
    for _ in range(2):
        try:
            work.rename(folder)
        except OSError:
            meta = read_meta(folder)
            if meta is not None and is_whole(folder, meta):
                return
            with suppress(OSError):
                # Out of the way at once, then deleted: readers never see half of it.
                folder.rename(work.with_name(work.name + "-damaged"))
            shutil.rmtree(work.with_name(work.name + "-damaged"), ignore_errors=True)
        else:
            return
    work.rename(folder)


def _sweep(root: Path) -> None:
    """Deletes what a crash left behind, once it is so old that nobody can be working on it."""
    for leftover in root.glob(".making-*"):
        with suppress(OSError):
            if time.time() - leftover.stat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(leftover, ignore_errors=True)
