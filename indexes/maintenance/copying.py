"""Copies of a collection: complete under their name, or absent; of one state, while others write.

The catalog is copied by SQLite's backup inside one read transaction, which no writer changes. All
other files are immutable: those that this state names are copied and compared with their checksums.
A writer may remove one meanwhile; then the copy starts over with the state of now, and keeps the
files that it has already.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from indexes.catalog.images import Images
from indexes.catalog.sqlite.commits import note_commit
from indexes.errors import CollectionError, DamageError
from indexes.progress import Progress
from indexes.reader import CATALOG, Reader
from indexes.storage.files import (
    LOCAL_LOCKS,
    FileDigest,
    digest_of,
    new_file,
    sync,
    unreadable,
    unwritable,
    verify,
)

# The folder that is being filled, next to its final name; a killed copy leaves it to the next.
UNFINISHED = ".copying"
# The folder for models made from the collection, which no catalog names.
MODELS = "models"
CHUNK = 4 << 20


@dataclass(frozen=True)
class CopyReport:
    """What was copied: the documents and indexes of one state, the files, and their bytes."""

    path: Path
    documents: int
    indexes: int
    files: int
    size: int


@dataclass(frozen=True)
class _Named:
    """A file, or a folder stored as one, that the catalog names; `digest` if it knows it."""

    name: str
    digest: FileDigest | None


def copy(source: Reader, target: Path, progress: Progress) -> CopyReport:
    """Copy a collection to `target`, a folder that is absent or empty.

    Raises:
        CollectionError: the folder is not empty, is inside the collection, or cannot be written.
        DamageError: a file of the collection is not what the catalog says; nothing is left.
    """
    target = target.absolute()
    _check(source.folder, target)
    unfinished = target.with_name(target.name + UNFINISHED)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        try:
            report = _fill(source, unfinished, progress)
            os.replace(unfinished, target)  # noqa: PTH105 - tests intercept each step in `os`
            sync(target.parent)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
    except OSError as error:
        raise unwritable(target, error.strerror or str(error)) from None
    return CopyReport(target, *report)


def _check(folder: Path, target: Path) -> None:
    if target.resolve().is_relative_to(folder.resolve()):
        raise CollectionError(
            f"{target}/ is inside {folder}/. Choose a place outside for the copy."
        )
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        if any(target.iterdir()):
            raise CollectionError(f"{target}/ is not empty. Choose a new folder for the copy.")
    if target.is_file():
        raise CollectionError(f"{target} is a file. Choose a new folder for the copy.")


def _fill(source: Reader, folder: Path, progress: Progress) -> tuple[int, int, int, int]:
    """Copy everything into an empty folder; return documents, indexes, files and bytes."""
    copied: dict[str, int] = {}
    while True:
        with source.catalog.reading():
            generation = source.catalog.generation()
            try:
                named = list(_named(source))
                for done, one in enumerate(named):
                    if one.name not in copied:
                        copied[one.name] = _copy(source.folder, folder, one)
                    progress(done + 1, len(named) + 1)
            except DamageError:
                # A writer may have replaced a file after its name was read.
                if _latest(source) == generation:
                    raise
                continue
            source.catalog.back_up(folder / CATALOG)
            counts = source.corpus.count(), len(source.registry.indexes())
            break
    for name in copied.keys() - {one.name for one in named}:
        _remove(folder / name)
    note_commit(folder / CATALOG, generation)
    sizes = [copied[one.name] for one in named]
    for path in _models(source.folder):
        sizes.append(_copy_file(path, folder / path.relative_to(source.folder)).size)
    sync(folder)
    progress(len(named) + 1, len(named) + 1)
    return *counts, len(sizes) + 1, sum(sizes) + (folder / CATALOG).stat().st_size


def _latest(source: Reader) -> int:
    """Return the generation of now, from outside of the state that this thread reads."""
    with contextlib.closing(type(source.catalog)(source.catalog.path)) as catalog:
        return catalog.generation()


def _named(source: Reader) -> Iterator[_Named]:
    """Yield the files that the state names which is being read."""
    registry = source.registry
    for index in registry.indexes():
        if index.file is not None:
            yield _Named(index.file, index.digest)
    for embedding in registry.embeddings():
        if embedding.fitted.file is not None:
            yield _Named(embedding.fitted.file, embedding.fitted.digest)
        for shard in registry.shards(embedding.number):
            if shard.file is not None:
                yield _Named(shard.file, shard.digest)
    for path in dict.fromkeys(Images(source.catalog).copies()):
        yield _Named(path, None)


def _copy(source: Path, target: Path, one: _Named) -> int:
    """Copy a file, or a folder of files, and compare it with its digest; return its bytes."""
    path, copied = source / one.name, target / one.name
    if not path.is_dir():
        found = _copy_file(path, copied)
        if one.digest is not None and found != one.digest:
            _refuse(path, copied, one.digest)
        return found.size
    parts = [part for part in sorted(path.iterdir()) if part.name not in LOCAL_LOCKS]
    size = sum(_copy_file(part, copied / part.name).size for part in parts)
    if one.digest is not None and digest_of(copied) != one.digest:
        _refuse(path, copied, one.digest)
    return size


def _refuse(path: Path, copied: Path, digest: FileDigest) -> NoReturn:
    """Raise a DamageError for a file that is not what the catalog names, or one for its copy."""
    verify(path, digest)
    raise unwritable(copied, "what was read is not what is stored")


def _copy_file(path: Path, target: Path) -> FileDigest:
    try:
        with path.open("rb") as file, new_file(target) as written:
            while chunk := file.read(CHUNK):
                written.write(chunk)
    except OSError as error:
        raise unreadable(path, error.strerror or str(error)) from None
    return written.digest


def _models(folder: Path) -> Iterator[Path]:
    """Yield the finished models in a collection's folder: the name of others begins with a dot."""
    for model in sorted((folder / MODELS).glob("[!.]*")):
        yield from (path for path in sorted([model, *model.rglob("*")]) if path.is_file())


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
