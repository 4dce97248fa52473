"""Folders of files, one document each."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from indexes.document import Document
from indexes.errors import (
    BadRecord,
    EmptySourceError,
    FileNote,
    InputError,
    SkippedFile,
    pluralize,
)
from retriever.formats.files.kinds import kind_of, reason_to_skip
from retriever.formats.files.reading import check_package, read_file, read_if_text, read_image
from retriever.formats.sources import Source, without_gz

Item = tuple[str, Document | BadRecord]

# How many files of a folder are named in notes, or in an error.
NAMED = 10


def read_folder(folder: str, *, as_text: bool = False) -> Iterator[Item]:
    """Yield `(path, document)` for every file below `folder`, sorted by relative path.

    The id is the relative path, with `/` on every platform and without `.gz`. What the files are
    follows from their extensions (`files.kinds`); with `as_text`, all are text whatever their
    extension. A text and an image of the same name are two documents: a caption of an image comes
    from a table with a column of images.

    A file that is no document yields a `SkippedFile` with the reason: one of another kind, without
    text, or a link to a folder, which is not followed. Hidden files and folders yield one together.
    A file or folder that cannot be read yields a `BadRecord`. Memory grows with the largest single
    folder, not with the tree.

    Raises:
        EmptySourceError: at the end, if no file was a document or a bad record.
        InputError: `folder` cannot be listed, or a package is not installed that reads a file.
    """
    reader = _Folder(Path(folder), as_text)
    found, skipped, total = False, list[BadRecord](), 0
    for place, item in reader.items():
        if not isinstance(item, SkippedFile):
            found = True
        elif total := total + 1:
            skipped += [item][: NAMED - len(skipped)]
        yield place, item
    reader.notes.close()
    if not found:
        more = [f"  ... and {total - NAMED:,} more"] if total > NAMED else []
        why = "; skipped:" if skipped else ": it is empty."
        raise EmptySourceError(
            "\n".join([f"{folder} has no document{why}", *(f"  {one}" for one in skipped), *more])
        )


class Notes:
    """Warnings about files: the first of them one by one, the others counted."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, text: str) -> None:
        """Warn with a note."""
        self._count += 1
        if self._count <= NAMED:
            warnings.warn(text, FileNote, stacklevel=1)

    def close(self) -> None:
        """Warn about how many notes were left out."""
        if (more := self._count - NAMED) > 0:
            warnings.warn(f"the same of {pluralize(more, 'more file')}", FileNote, stacklevel=1)


@dataclass
class _Folder:
    """One reading of a folder."""

    root: Path
    as_text: bool

    def __post_init__(self) -> None:
        self.notes = Notes()
        self._hidden = 0

    def items(self) -> Iterator[Item]:
        yield from self._below(self.root)
        if self._hidden:
            place = _printable(self.root)
            hidden = pluralize(self._hidden, "hidden file or folder", "hidden files and folders")
            yield place, SkippedFile(place, hidden)

    def _below(self, folder: Path) -> Iterator[Item]:
        try:
            with os.scandir(folder) as listing:
                entries = list(listing)
        except OSError as error:
            if folder == self.root:
                raise InputError(f"{folder} cannot be listed: {error.strerror}.") from None
            place = _printable(folder)
            yield place, BadRecord(place, f"cannot be listed: {error.strerror}")
            return
        shown = [entry for entry in entries if not entry.name.startswith(".")]
        self._hidden += len(entries) - len(shown)
        # Sort as if folder names ended in "/", so that the relative paths come out sorted.
        for entry in sorted(shown, key=_sort_key):
            if _sort_key(entry).endswith("/"):
                yield from self._below(Path(entry.path))
            else:
                place = _printable(entry.path)
                yield place, self._item(entry, place)

    def _item(self, entry: os.DirEntry[str], place: str) -> Document | BadRecord:
        if reason := _no_file(entry):
            return SkippedFile(place, reason)
        path = Path(entry.path)
        relative = path.relative_to(self.root).as_posix()
        if not self.as_text and (reason := reason_to_skip(entry.name)):
            return SkippedFile(place, reason)
        kind = None if self.as_text else kind_of(entry.name)
        doc_id = relative if kind == "image" else without_gz(relative)
        check_package(kind or "", place)
        try:
            found = self._read(path, kind, doc_id, place)
        except InputError as error:
            reason = str(error).removeprefix(f"{path} ").removeprefix(f"{place} ")
            return BadRecord(place, reason, doc_id)
        if isinstance(found, BadRecord) and not isinstance(found, SkippedFile):
            return BadRecord(place, found.reason, doc_id)
        return found

    def _read(self, path: Path, kind: str | None, doc_id: str, place: str) -> Document | BadRecord:
        if kind == "image":
            return read_image(str(path), doc_id)
        source = Source(str(path), kind or "text", path.name.lower().endswith(".gz"))
        read = read_file if kind else read_if_text
        return read(source, doc_id, place, self.notes)


def _no_file(entry: os.DirEntry[str]) -> str:
    """Return why an entry is not a file that can be read to its end; "" if it may be one."""
    # That a link leads nowhere, or to itself, is an error when it is read.
    with contextlib.suppress(OSError):
        if entry.is_dir():
            return "a link to a folder, which is not followed"
        if not entry.is_file() and Path(entry.path).exists():
            return "a pipe, a socket or a device"
    return ""


def _sort_key(entry: os.DirEntry[str]) -> str:
    return entry.name + "/" if entry.is_dir(follow_symlinks=False) else entry.name


def _printable(path: str | os.PathLike[str]) -> str:
    # A name that is not UTF-8 cannot be printed unescaped.
    return os.fsencode(path).decode(errors="backslashreplace")
