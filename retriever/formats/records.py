"""Conversion of the fields of one record into a document."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from indexes.checksums import text_checksum
from indexes.document import Document
from indexes.errors import BadRecord, FileNote, InputError, pluralize
from indexes.values import PLAIN, plain
from retriever.formats.columns.check import one_of
from retriever.formats.columns.layout import Layout
from retriever.formats.columns.names import ID_NAMES, TEXT_NAMES, TITLE_NAMES, Roles
from retriever.formats.columns.values import id_text

# If several are present, the first is the id and the others are metadata.
DOCUMENT_IDS = ("_id", "doc_id", "id")
DOCUMENT_ROLES = Roles(
    DOCUMENT_IDS, ID_NAMES, TITLE_NAMES, TEXT_NAMES, "from the content", "--id, --title, --text"
)
STANDARD = Layout(DOCUMENT_IDS, exact=True)

# A reason may quote the faulty value, which can be as long as a document.
LONGEST_REASON = 300


@dataclass(frozen=True)
class ImageColumn:
    """The field that holds a document's image; paths in it are relative to `folder`."""

    name: str
    folder: Path = Path()

    def take(self, fields: dict[str, Any]) -> Any:
        """Remove the image from some fields and return it; None if there is none."""
        given = fields.pop(self.name, None)
        if isinstance(given, str | os.PathLike) and os.fspath(given):
            return self.folder / given
        return None if isinstance(given, str) else given


def document_or_bad(
    place: str,
    fields: Mapping[str, Any],
    image: ImageColumn | None = None,
    layout: Layout = STANDARD,
) -> Document | BadRecord:
    """Return the document made from `fields`, or the reason they are unusable.

    `layout` says which fields are the id, the title and the text, by default those under `_id`,
    `doc_id` or `id` (a whole number becomes text), `title` (may be missing or None) and `text`.
    The image, with which the text may be missing, too, is in the field that `image` names. Every
    other field is metadata. An object under `metadata` is merged into it; top-level fields win over
    its keys. Values that JSON lacks become what `plain` makes of them. Without an id in the layout
    the id is `content_id`.
    """
    try:
        return _document(dict(fields), image, layout)
    except InputError as error:
        reason = str(error)
        if len(reason) > LONGEST_REASON:
            reason = f"{reason[: LONGEST_REASON // 2]} ... {reason[-LONGEST_REASON // 2 :]}"
        return BadRecord(place, reason, _id_of(fields))


def _id_of(fields: Mapping[str, Any]) -> str:
    """Return the id in some fields; empty if there is none."""
    try:
        return take_id(dict(fields), DOCUMENT_IDS).strip()
    except InputError:
        return ""


def take_id(fields: dict[str, Any], names: Sequence[str]) -> str:
    """Remove the first of `names` from `fields` and return its value, as text if a whole number."""
    name = next((name for name in names if name in fields), None)
    if name is None:
        raise InputError(f"no id: expected {one_of(names)}")
    return id_text(name, fields.pop(name))


def content_id(document: Document) -> str:
    """Return 32 hex digits over the title, the text and the image of a document.

    The same content has the same id in every file and every format, whatever its metadata.
    """
    image = document.image.checksum if document.image else ""
    if not image and not document.title.strip() and not document.text.strip():
        raise InputError("no title and no text to make an id from")
    return text_checksum(
        document.title, f"{document.text}\0{image}" if image else document.text
    ).hex()


@dataclass
class RepeatedContent:
    """Documents of one call whose ids were made: of those with equal content the first is kept.

    Memory grows by some bytes for each of them.
    """

    _places: set[bytes] = field(default_factory=set)
    _repeated: list[str] = field(default_factory=list)
    _total: int = 0

    def is_new(self, place: str, document: Document) -> bool:
        """Return whether no document with this made id came before, and count it if one did."""
        key = bytes.fromhex(document.doc_id)
        if key not in self._places:
            self._places.add(key)
            return True
        self._total += 1
        self._repeated = [*self._repeated, place][:1]
        return False

    def note(self) -> None:
        """Say how many documents were repeated since the last call, if any."""
        if self._total:
            warnings.warn(
                f"{pluralize(self._total, 'record')} with the title and text of an earlier one "
                f"{'is' if self._total == 1 else 'are'} one document with it, with the other "
                f"fields of the first: {self._repeated[0]}{'' if self._total == 1 else ', ...'}; "
                "name a column of ids to keep them apart (--id).",
                FileNote,
                stacklevel=1,
            )
        self._repeated, self._total = [], 0


def _document(fields: dict[str, Any], column: ImageColumn | None, layout: Layout) -> Document:
    doc_id = take_id(fields, layout.ids) if layout.ids else "made below"
    image = column.take(fields) if column else None
    if layout.exact:
        text, title = _exact_texts(fields, column, image)
    else:
        text = layout.take_text(fields, optional=image is not None)
        title = layout.take_title(fields)
    if not PLAIN.issuperset(map(type, fields.values())):
        fields = {name: plain(value) for name, value in fields.items()}
    if isinstance(fields.get("metadata"), Mapping):
        fields = {**fields.pop("metadata"), **fields}
    document = Document(doc_id, text, title, fields, image)
    return document if layout.ids else replace(document, doc_id=content_id(document))


def _exact_texts(fields: dict[str, Any], column: ImageColumn | None, image: Any) -> tuple[Any, Any]:
    """Remove and return `text` and `title` of a record that must have a text."""
    if "text" not in fields and image is None:
        raise InputError(f"no 'text', and no image in '{column.name}'" if column else "no 'text'")
    text = fields.pop("text", "")
    if text is None and image is not None:
        text = ""
    title = fields.pop("title", None)
    return text, "" if title is None else title
