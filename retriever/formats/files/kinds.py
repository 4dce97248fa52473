"""What a file is, by its name."""

from __future__ import annotations

import re

from retriever.formats.rows import ROW_ENDINGS
from retriever.formats.sources import without_gz

MARKDOWN_ENDINGS = (".md", ".markdown", ".mdown", ".mkd")
IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp")
# Read as images only when asked for.
OTHER_IMAGES = (".bmp", ".gif", ".tif", ".tiff")

# Of files that are one document each.
FILE_ENDINGS = {
    **dict.fromkeys((".txt", ".text", ".rst", ".org", ".adoc", ".asciidoc", ".tex"), "text"),
    ".log": "text",
    **dict.fromkeys(MARKDOWN_ENDINGS, "markdown"),
    **dict.fromkeys((".html", ".htm", ".xhtml"), "html"),
    ".pdf": "pdf",
    ".docx": "docx",
    **dict.fromkeys(IMAGE_ENDINGS, "image"),
}
FILE_KINDS = tuple(dict.fromkeys(FILE_ENDINGS.values()))

# As in "Meeting 12.05", "access.log.1" or "v1.2 plans": what follows the period is part of a name.
_NO_ENDING = re.compile(r"\.(\d+|.*\s.*)", re.DOTALL)


def ending_of(name: str) -> str:
    """Return the extension in lower case, with its period and before `.gz`; "" if there is none."""
    stem, period, ending = without_gz(name).rpartition(".")
    ending = period + ending.lower()
    return "" if not stem or ending == "." or _NO_ENDING.fullmatch(ending) else ending


def kind_of(name: str) -> str | None:
    """Return the kind of a file of a folder: of `FILE_KINDS`, or None if its content decides.

    A file without an extension is text if its content is.
    """
    return FILE_ENDINGS.get(ending_of(name))


def reason_to_skip(name: str) -> str:
    """Return why a file of a folder is no document by its name; "" if it may be one."""
    ending = ending_of(name)
    if not ending or ending in FILE_ENDINGS:
        return ""
    if ending in ROW_ENDINGS:
        return f"a table ({ending}), whose rows are documents; add it by its own name"
    if ending in OTHER_IMAGES:
        return f"an image ({ending}), read as one by its own name with format image"
    return f"unknown extension {ending}; to read such files as text, give format text"


def is_image(name: str) -> bool:
    """Return whether a file's name is that of an image."""
    return name.lower().endswith(IMAGE_ENDINGS)
