"""Folders of texts and images, one document per file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from indexes.document import Document
from indexes.errors import BadRecord, EmptySourceError, InputError
from retriever.formats.lines import invalid_utf8, strip_bom
from retriever.formats.records import ImageColumn, document_or_bad
from retriever.formats.sources import Source, open_source, without_gz

TEXT_ENDINGS = (".txt", ".md")
IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp")

Item = tuple[str, Document | BadRecord]


def read_folder(folder: str) -> Iterator[Item]:
    """Yield `(path, document)` for every text or image below `folder`, sorted by relative path.

    The id is the relative path, with `/` on every platform and without `.gz`. Hidden files and
    folders are skipped, links to folders are not followed. A text and an image of the same name are
    two documents: a caption of an image comes from a table with a column of images. An unreadable
    file yields a `BadRecord`. Memory grows with the largest single folder, not with the tree.
    """
    root = Path(folder)
    found = False
    for path in _files(root):
        found = True
        yield _file_item(path, path.relative_to(root).as_posix())
    if not found:
        endings = ", ".join((*TEXT_ENDINGS, *IMAGE_ENDINGS[:-1]))
        advice = "To read other formats, pass the files by name."
        raise EmptySourceError(f"{folder} has no {endings} or {IMAGE_ENDINGS[-1]} file. {advice}")


def read_text_file(source: Source, doc_id: str) -> Iterator[Item]:
    """Yield the document of one text file, or the reason it is unusable."""
    with open_source(source) as stream:
        raw = strip_bom(stream.read())
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        yield source.name, BadRecord(source.name, invalid_utf8(error))
    else:
        yield source.name, document_or_bad(source.name, {"_id": doc_id, "text": text})


def read_image_file(name: str, doc_id: str) -> Iterator[Item]:
    """Yield the document of one image, or the reason it is unusable."""
    yield name, document_or_bad(name, {"_id": doc_id, "image": name}, ImageColumn("image"))


def _files(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as listing:
            entries = [entry for entry in listing if not entry.name.startswith(".")]
    except OSError as error:
        raise InputError(f"{folder} cannot be listed: {error.strerror}.") from None
    # Sort as if folder names ended in "/", so that the relative paths come out sorted.
    for entry in sorted(entries, key=_sort_key):
        if _sort_key(entry).endswith("/"):
            yield from _files(Path(entry.path))
        elif is_image(entry.name) or without_gz(entry.name).lower().endswith(TEXT_ENDINGS):
            yield Path(entry.path)


def is_image(name: str) -> bool:
    """Return whether a file's name is that of an image."""
    return name.lower().endswith(IMAGE_ENDINGS)


def _sort_key(entry: os.DirEntry[str]) -> str:
    return entry.name + "/" if entry.is_dir(follow_symlinks=False) else entry.name


def _file_item(path: Path, relative: str) -> Item:
    # A name that is not UTF-8 cannot be printed unescaped.
    place = os.fsencode(path).decode(errors="backslashreplace")
    printable = os.fsencode(relative).decode(errors="backslashreplace")
    source = Source(str(path), "text", path.name.lower().endswith(".gz"))
    try:
        if is_image(path.name):
            ((_, item),) = read_image_file(str(path), relative)
        else:
            ((_, item),) = read_text_file(source, without_gz(relative))
    except InputError as error:
        item = BadRecord(place, str(error).removeprefix(f"{path} "))
    if isinstance(item, BadRecord):
        item = BadRecord(place, item.reason, without_gz(printable))
    return place, item
