"""Text of HTML pages; imports selectolax."""

from __future__ import annotations

import codecs
import re
from typing import Any

from indexes.errors import InputError
from retriever.formats.files.content import MOST_MARKUP, Content, check_size
from retriever.formats.files.nesting import BLOCKS, flattened
from retriever.formats.files.plain import marked_encoding
from retriever.formats.files.properties import properties

MAIN = "main, [role=main]"
# Not text, or links to other pages.
LEFT_OUT = "script, style, template, noscript, nav, svg, iframe, object, canvas, [hidden]"
CELLS = "td, th"

# Of authors, dates and keywords: HTML's own, Dublin Core's, Open Graph's, and Google Scholar's.
META_NAMES = (
    ("author", "dc.creator", "dcterms.creator", "citation_author"),
    (
        *("date", "article:published_time", "dc.date", "dcterms.date", "dcterms.created"),
        *("dc.date.issued", "dcterms.issued", "pubdate", "citation_publication_date"),
        "citation_date",
    ),
    ("keywords", "news_keywords", "article:tag", "dc.subject", "citation_keywords"),
)

# A break that no text holds: HTML allows no such character.
_BREAK = "\x1e"
# https://html.spec.whatwg.org/multipage/parsing.html#prescan-a-byte-stream-to-determine-its-encoding
_PRESCANNED = 1024
_CHARSET = re.compile(rb"<meta[^>]*?charset\s*=\s*[\"']?\s*([\w:.-]+)", re.IGNORECASE)
_XML = re.compile(rb"\s*<\?xml[^>]*?encoding\s*=\s*[\"']([\w:.-]+)", re.IGNORECASE)
# Pages that declare these mean the first of them:
# https://encoding.spec.whatwg.org/#names-and-labels
_WINDOWS = ("windows-1252", "iso8859-1", "ascii")


def read_html(raw: bytes) -> Content:
    """Return the text of a page: a line for each block, without scripts, styles and navigation.

    Where a page marks its main content, that is the text. The title is that of the page, else its
    first `h1`; authors, date and keywords are those of its `meta` tags. Nothing is loaded or run.
    """
    from selectolax.lexbor import LexborHTMLParser

    check_size(len(raw), MOST_MARKUP)
    tree = LexborHTMLParser(flattened(decode_html(raw).replace(_BREAK, " "), _BREAK))
    title = tree.css_first("head > title") or tree.css_first("h1")
    shown = " ".join(title.text().split()) if title else ""
    metadata = _metadata(tree)
    for node in tree.css(f"head, {LEFT_OUT}"):
        node.decompose()
    for node in tree.css("pre"):
        node.replace_with(_BREAK + node.text().replace("\n", _BREAK) + _BREAK)
    # Between these and what surrounds them, a line ends.
    for node in tree.css(BLOCKS):
        node.insert_before(_BREAK)
        node.insert_after(_BREAK)
    for node in tree.css(CELLS):
        node.insert_after(" ")
    text = next(filter(None, map(_lines, (tree.css_first(MAIN), tree.root))), "")
    return Content(text, shown, metadata, lack="" if text else "no text in the page")


def _metadata(tree: Any) -> dict[str, Any]:
    """Return what the `meta` tags say, of each kind under the first name that is there."""
    said: dict[str, list[str]] = {}
    for node in tree.css("meta[content]"):
        name = node.attributes.get("name") or node.attributes.get("property") or ""
        said.setdefault(name.strip().lower(), []).append(node.attributes["content"] or "")
    authors, dates, keywords = (
        next((said[name] for name in names if name in said), []) for names in META_NAMES
    )
    return properties(authors, next(iter(dates), None), keywords)


def _lines(node: Any) -> str:
    lines = node.text().split(_BREAK) if node else ()
    return "\n".join(line for one in lines if (line := " ".join(one.split())))


def decode_html(raw: bytes) -> str:
    """Decode a page as a browser does: by its mark, by what it declares, as UTF-8, or Windows'.

    Raises:
        InputError: the encoding that it declares is not known.
    """
    if marked := marked_encoding(raw):
        return raw.decode(marked, "replace")
    declared = _CHARSET.search(raw[:_PRESCANNED]) or _XML.match(raw[:_PRESCANNED])
    if declared:
        return raw.decode(_codec(declared[1].decode()), "replace")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode(_WINDOWS[0], "replace")


def _codec(label: str) -> str:
    try:
        codec = codecs.lookup(label)
        b"".decode(codec.name)  # Codecs such as base64 are none of texts.
    except LookupError:
        raise InputError(f"declares the encoding '{label}', which is not known") from None
    # What declares UTF-16 in ASCII letters is not UTF-16.
    if codec.name.startswith("utf-16"):
        return "utf-8"
    return _WINDOWS[0] if codec.name in _WINDOWS else codec.name
