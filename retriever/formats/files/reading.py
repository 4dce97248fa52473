"""One file as one document, or the reason why it is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from indexes.document import Document
from indexes.errors import BadRecord, FileFormatError, InputError, SkippedFile
from retriever.formats.files.content import (
    MOST_BYTES,
    Content,
    check_size,
    require,
)
from retriever.formats.files.docx import read_docx
from retriever.formats.files.html import read_html
from retriever.formats.files.markdown import read_markdown
from retriever.formats.files.pdf import read_pdf
from retriever.formats.files.plain import read_plain, text_head
from retriever.formats.records import ImageColumn, document_or_bad
from retriever.formats.sources import ENCODINGS, PDF, ZIP, Signature, Source, open_source

NOT_TEXT = "not text in UTF-8"

Found = Document | BadRecord


@dataclass(frozen=True)
class _Format:
    """How a kind of file is read, the signatures it may start with, and the package it needs."""

    read: Callable[[bytes], Content]
    starts: tuple[Signature, ...] = ENCODINGS
    package: str = ""


_FORMATS = {
    "text": _Format(read_plain),
    "markdown": _Format(read_markdown),
    "html": _Format(read_html, package="selectolax"),
    "pdf": _Format(read_pdf, (PDF,), "pypdf"),
    "docx": _Format(read_docx, (ZIP,), "docx"),
}


def check_package(kind: str, name: str) -> None:
    """Raise an `InputError` if the package is not installed that reads a kind of file."""
    if kind in _FORMATS and (package := _FORMATS[kind].package):
        require(package, name)


def read_file(source: Source, doc_id: str, place: str, note: Callable[[str], None]) -> Found:
    """Return the document of a file that is not an image; a `SkippedFile` if it holds no text.

    `note` is called with what could not be read in it.

    Raises:
        FileFormatError: it does not start as its name says, or is damaged as a gzip file.
        InputError: it cannot be opened.
    """
    how = _FORMATS[source.kind]
    with open_source(source, how.starts) as stream:
        raw = stream.read(MOST_BYTES + 1)
    try:
        check_size(len(raw), MOST_BYTES)
        content = how.read(raw) if raw else Content("", lack="empty (0 bytes)")
        if content.lack or not (content.title or content.text.strip()):
            return SkippedFile(place, content.lack or "no text")
        document = Document(doc_id, content.text, content.title, content.metadata)
    except InputError as error:
        return BadRecord(place, str(error).rstrip("."), doc_id)
    if content.note:
        note(f"{place}: {content.note}")
    return document


def read_if_text(source: Source, doc_id: str, place: str, note: Callable[[str], None]) -> Found:
    """Return the document of a file that may be text or not, by its content."""
    source = replace(source, kind="text")
    try:
        if text_head(source) is None:
            return SkippedFile(place, NOT_TEXT)
        found = read_file(source, doc_id, place, note)
    except FileFormatError:
        return SkippedFile(place, NOT_TEXT)
    if isinstance(found, BadRecord) and found.reason.startswith("invalid "):
        return SkippedFile(place, NOT_TEXT)
    return found


def read_image(name: str, doc_id: str) -> Found:
    """Return the document of one image, or the reason it is unusable."""
    found = document_or_bad(name, {"_id": doc_id, "image": name}, ImageColumn("image"))
    if isinstance(found, BadRecord):
        return replace(found, reason=found.reason.removeprefix(f"{name}: "))
    return found
