"""Cache of converted word vectors: one folder per source, named by the source's SHA-256.

<cache>/words/<SHA-256>/     see mmap_format.py
<cache>/words/seen/<...>     the SHA-256 of a source by its path and file status, so that a source
                             is hashed only once

A crash or concurrent processes leave a complete folder or none. A damaged folder is rebuilt; one
unused for 60 days is removed when another is built.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path

from indexes.errors import InputError
from retriever.embedders import cache
from retriever.embedders.cache import cache_folder
from retriever.embedders.word_vectors.mmap_format import WordMeta, WordWriter, read_intact

HEX_DIGITS = 64
Convert = Callable[[WordWriter, str], None]


def cached(
    sources: Sequence[Path], convert: Convert, *, accept_skipped: bool = True
) -> tuple[Path, WordMeta]:
    """Return the folder of the converted sources, after `convert(writer, checksum)` if needed.

    Without `accept_skipped`, one from which words were left out is made again.
    """

    def is_good(meta: WordMeta | None) -> bool:
        return meta is not None and (accept_skipped or not meta.skipped)

    root = cache_folder() / "words"
    try:
        root.mkdir(parents=True, exist_ok=True)
        found = converted_before(sources)
        if found and is_good(found[1]):
            return found
        folder = root / checksum_of(sources)
        return folder, _write(folder, sources[0], convert, is_good)
    except OSError as error:
        raise InputError(
            f"{error.filename or root}: {error.strerror or error}. Models are converted into the "
            "cache folder; set RETRIEVER_CACHE to a writable folder with enough free space."
        ) from None


def converted_before(sources: Sequence[Path]) -> tuple[Path, WordMeta] | None:
    """Return the folder of the converted sources; None unless it is intact."""
    folder = cache_folder() / "words" / checksum_of(sources)
    meta = read_intact(folder)
    if meta is None:
        return None
    cache.mark_used(folder)
    return folder, meta


def checksum_of(sources: Sequence[Path]) -> str:
    """Return the SHA-256, in hex, of the bytes of files in order; names do not count.

    Cached by path, size, inode, mtime and ctime in nanoseconds, as `cp -p` and `rsync -t` can give
    a new file the size and mtime of an old one.
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
    # A read-only cache may still hold the converted form.
    with suppress(OSError):
        cache.write_file_atomic(memory, checksum)
    return checksum


def _hash(sources: Sequence[Path]) -> str:
    digests = []
    for source in sources:
        with source.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256"))
    if len(digests) == 1:
        return digests[0].hexdigest()
    return hashlib.sha256(b"".join(digest.digest() for digest in digests)).hexdigest()


def _write(
    folder: Path, source: Path, convert: Convert, is_good: Callable[[WordMeta | None], bool]
) -> WordMeta:
    def fill(work: Path) -> None:
        with closing(WordWriter(work, source)) as writer:
            convert(writer, folder.name)

    cache.write_folder_atomic(folder, fill, lambda made: is_good(read_intact(made)))
    cache.remove_unused(folder.parent, folder)
    meta = read_intact(folder)
    if meta is None:
        raise InputError(f"{folder} was changed by another process while it was built. Try again.")
    return meta
