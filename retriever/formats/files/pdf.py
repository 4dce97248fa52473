"""Text of PDF files; imports pypdf.

pypdf is ten times slower than PDFium, but it is Python: a file that is damaged, or made to exhaust
the memory, ends in an exception and not with the process (`benchmarks/README.md`).
"""

from __future__ import annotations

import io
import logging
import re
from typing import Any

from indexes.errors import InputError, pluralize
from retriever.formats.files.content import Content
from retriever.formats.files.properties import properties

# Far above those of real pages; one takes about 50 microseconds.
MOST_OPERATORS = 500_000
MOST_CHARACTERS = 64 << 20

# A word that a line break divides.
_DIVIDED = re.compile(r"(\w)[-\u00ad\u2010]\n(\w)")
_CONTROL = dict.fromkeys({*range(32)} - {9, 10})
# Of the program that made it, or of the file that it was made from.
_NO_TITLE = re.compile(
    r"(?i)\s*(?:untitled.*|microsoft \w+ - .*|.*\.(?:docx?|dvi|html?|indd|od[tp]|pages|pdf|pptx?|"
    r"ps|qxd|rtf|tex|txt|xlsx?))?\s*"
)


def read_pdf(raw: bytes) -> Content:
    """Return the text of all pages of a PDF, with words joined that lines divide.

    The title is that of its properties, unless it is the name of another file; the metadata are
    the author, the date of creation and the keywords there.

    Raises:
        InputError: it needs a password, is damaged, or made to exhaust time or memory.
    """
    import pypdf
    from pypdf.errors import FileNotDecryptedError

    # It reports what it repairs, once for each object.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        reader = pypdf.PdfReader(io.BytesIO(raw))
        # Many files are encrypted without a password for reading.
        if reader.is_encrypted and not reader.decrypt(""):
            raise InputError("needs a password. Save it without one")
        pages = _page_texts(reader)
        information = reader.metadata
        title = (information and information.title) or ""
        metadata = _metadata(information) if information else {}
    except FileNotDecryptedError:
        raise InputError("needs a password. Save it without one") from None
    except (InputError, MemoryError):
        raise
    except Exception as error:  # pypdf raises anything for a damaged file
        what = str(error) or type(error).__name__
        raise InputError(f"cannot be read as PDF ({what})") from None
    text = "\n".join(map(str.strip, pages)).translate(_CONTROL).encode(errors="replace").decode()
    text = _DIVIDED.sub(_joined, text)
    if not text.strip():
        lack = f"no text on {pluralize(len(pages), 'page')}, only images; recognize it first (OCR)"
        return Content("", lack=lack)
    title = "" if _NO_TITLE.fullmatch(title) else " ".join(title.split())
    return Content(text, title, metadata)


def _metadata(information: Any) -> dict[str, Any]:
    """Return the author, the date of creation and the keywords of the document information."""
    try:
        created = information.creation_date
    except ValueError:  # not as PDF writes dates
        created = None
    return properties([information.author], created, [information.get("/Keywords")])


def _page_texts(reader: Any) -> list[str]:
    texts, characters = [], 0
    for number, page in enumerate(reader.pages, 1):
        texts.append(page.extract_text(visitor_operand_before=_Count(number)))
        characters += len(texts[-1])
        if characters > MOST_CHARACTERS:
            raise InputError(f"has more than {MOST_CHARACTERS:,} characters. Split it")
    return texts


class _Count:
    """Counts the operators of a page, those of its forms each time that they are drawn."""

    def __init__(self, page: int) -> None:
        self._page, self._count = page, 0

    def __call__(self, *operator: object) -> None:
        self._count += 1
        if self._count > MOST_OPERATORS:
            raise InputError(f"has more than {MOST_OPERATORS:,} operators on page {self._page}")


def _joined(found: re.Match[str]) -> str:
    """Join a divided word; next to a capital or a digit, the hyphen is the word's own."""
    before, after = found.groups()
    return before + after if before.islower() and after.islower() else f"{before}-{after}"
