"""Conversion of the fields of one record into a document."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

from indexes.document import Document
from indexes.errors import BadRecord, InputError
from retriever.formats.columns import one_of

# If several are present, the first is the id and the others are metadata.
DOCUMENT_IDS = ("_id", "doc_id", "id")
DOCUMENT_COLUMNS = (DOCUMENT_IDS, ("text",))
# Of a table with a column of images.
IMAGE_COLUMNS = (DOCUMENT_IDS,)

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
    place: str, fields: Mapping[str, Any], image: ImageColumn | None = None
) -> Document | BadRecord:
    """Return the document made from `fields`, or the reason they are unusable.

    The id is in `_id`, `doc_id` or `id` (an integer becomes text), the rest in `text` and `title`
    (may be missing or None), and the image, with which the text may be missing, too, in the field
    that `image` names. Every other field is metadata. An object under `metadata` is merged
    into it; top-level fields win over its keys.
    """
    try:
        return _document(dict(fields), image)
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
    """Remove the first of `names` from `fields` and return its value, as text if an integer."""
    name = next((name for name in names if name in fields), None)
    if name is None:
        raise InputError(f"no id: expected {one_of(names)}")
    value = fields.pop(name)
    if isinstance(value, str):
        return value
    if isinstance(value, Integral) and not isinstance(value, bool):
        return str(int(value))
    raise InputError(f"'{name}' is {type(value).__name__}; expected text")


def _document(fields: dict[str, Any], column: ImageColumn | None) -> Document:
    doc_id = take_id(fields, DOCUMENT_IDS)
    image = column.take(fields) if column else None
    if "text" not in fields and image is None:
        raise InputError(f"no 'text', and no image in '{column.name}'" if column else "no 'text'")
    text = fields.pop("text", "")
    if text is None and image is not None:
        text = ""
    title = fields.pop("title", None)
    if isinstance(fields.get("metadata"), Mapping):
        fields = {**fields.pop("metadata"), **fields}
    return Document(doc_id, text, "" if title is None else title, fields, image)
