"""Rows of documents: checked, read as documents, and the text that is embedded for them."""

from __future__ import annotations

from collections.abc import Sequence

from indexes.catalog.sqlite.database import Catalog
from indexes.checksums import is_intact_document, text_checksum
from indexes.document import Document
from indexes.images import Image

# Columns of a document with its text.
DOCUMENT = "document, doc_id, checksum, metadata, documents.seal, title, text"


def passage_text(title: str, text: str, start: int, end: int) -> str:
    """Return what is embedded for the characters `start` to `end`: title, a space, text.

    This is BEIR's convention, which published scores follow.
    """
    stretch = text if start == 0 and end == len(text) else text[start:end]
    return f"{title} {stretch}" if title else stretch


def whole_text(document: Document) -> str:
    """Return what is embedded for all of a document's text."""
    return passage_text(document.title, document.text, 0, len(document.text))


def check_text(catalog: Catalog, row: Sequence[object]) -> None:
    """Check a row of `DOCUMENT`: the document's own, and its text."""
    check_document(catalog, row)
    _, doc_id, checksum, _, _, title, text = row
    if text_checksum(str(title), str(text)) != checksum:
        raise catalog.damage(f"the text of document {doc_id!r} is not what was added")


def check_document(catalog: Catalog, row: Sequence[object]) -> None:
    """Check a document's row (without its text)."""
    if not is_intact_document(row[:5]):
        raise catalog.damage(f"the row of document {row[0]} is not what was committed")


def document_of(row: Sequence[object], image: Image | None) -> Document:
    """Return a row of `DOCUMENT` as a document, with its image."""
    _, doc_id, _, metadata, _, title, text = row
    return Document.stored(str(doc_id), str(text), str(title), str(metadata), image)
