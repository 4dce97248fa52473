"""Text of Word documents (.docx); imports python-docx."""

from __future__ import annotations

import io
import zipfile
from typing import Any

from indexes.errors import InputError
from retriever.formats.files.content import MOST_BYTES, MOST_MARKUP, Content, check_size
from retriever.formats.files.properties import properties

_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
# What stands before and after the text of an element.
_AROUND = {
    f"{_WORD}tab": ("\t", ""),
    f"{_WORD}br": ("\n", ""),
    f"{_WORD}cr": ("\n", ""),
    f"{_WORD}noBreakHyphen": ("-", ""),
    f"{_WORD}p": ("", "\n"),
    f"{_WORD}tr": ("", "\n"),
    f"{_WORD}txbxContent": ("\n", "\n"),
}
_CELL, _TEXT = f"{_WORD}tc", f"{_WORD}t"
_CORE = "http://schemas.openxmlformats.org/package/2006/relationships/metadata/core-properties"
_TITLES = ("Title", "Heading 1")
# Office encrypts a file by putting it into a compound file (MS-OFFCRYPTO).
_COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def read_docx(raw: bytes) -> Content:
    """Return the text of a Word document: a line for each paragraph, tables by row.

    It has what is inserted, in links, text boxes and fields of forms; not headers, footers,
    footnotes, comments, and what is deleted. The title is that of its properties, else its first
    paragraph of the style Title or Heading 1; the metadata are the author, the date of creation and
    the keywords of the properties. Nothing outside of the file is read.

    Raises:
        InputError: it is encrypted, damaged, or unpacks to more than `content` allows.
    """
    import docx

    if raw.startswith(_COMPOUND):
        raise InputError("needs a password, or is of an older Word. Save it as .docx without one")
    try:
        _check_unpacked(raw)
        document = docx.Document(io.BytesIO(raw))
        lines = (line.strip() for line in _text(document.element.body).splitlines())
        text = "\n".join(filter(None, lines))
        core = _core_properties(document)
        title = (core and core.title) or _first_title(document)
        metadata = properties([core.author], core.created, [core.keywords]) if core else {}
    except (InputError, MemoryError):
        raise
    except Exception as error:  # python-docx raises anything for a damaged file
        what = str(error).partition("\n")[0] or type(error).__name__
        raise InputError(f"cannot be read as a Word document ({what})") from None
    return Content(
        text, " ".join(title.split()), metadata, lack="" if text else "no text in the document"
    )


def _core_properties(document: Any) -> Any:
    """Return the properties of a document; None if it has none, where python-docx makes some up."""
    kinds = {relation.reltype for relation in document.part.package.rels.values()}
    return document.core_properties if _CORE in kinds else None


def _check_unpacked(raw: bytes) -> None:
    """Refuse a file that unpacks to far more; no part unpacks to more than it declares."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        parts = archive.infolist()
    check_size(sum(part.file_size for part in parts), MOST_BYTES)
    markup = [part.file_size for part in parts if part.filename.endswith((".xml", ".rels"))]
    check_size(sum(markup), MOST_MARKUP)


def _text(element: Any) -> str:
    """Return the text of an element and of those in it; a row of a table is one line."""
    if element.tag == _TEXT:
        return element.text or ""
    # A fallback repeats a text box for older programs.
    inside = "".join(map(_text, element.iterchildren("*"))) if element.tag != _FALLBACK else ""
    if element.tag == _CELL:
        return " ".join(inside.split()) + "\t"
    before, after = _AROUND.get(element.tag, ("", ""))
    return before + inside + after


def _first_title(document: Any) -> str:
    named = (one.text for one in document.paragraphs if one.style and one.style.name in _TITLES)
    return next(filter(str.strip, named), "")
