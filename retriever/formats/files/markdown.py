"""Markdown: metadata from its front matter, the title from it or from the first heading."""

from __future__ import annotations

import re
from typing import Any

from indexes.document import Document
from indexes.errors import InputError
from retriever.formats.files.content import Content
from retriever.formats.files.front_matter import parse_front_matter
from retriever.formats.files.plain import decode

# A line of dashes or pluses, the lines between, and the same again (YAML may also end in dots).
_FRONT = re.compile(
    r"(?P<fence>---|\+\+\+)[ \t]*\r?\n(?P<body>.*?)^(?:(?P=fence)|\.\.\.)[ \t]*(?:\r?\n|\Z)",
    re.DOTALL | re.MULTILINE,
)
_LOOKS_LIKE_A_FIELD = re.compile(r"(?:---|\+\+\+)[ \t]*\r?\n[ \t]*[\w-]+[ \t]*[:=][ \t\r\n]")

# https://spec.commonmark.org/0.31.2/, sections 4.2 (# headings), 4.3 (underlined) and 4.5 (code)
_HEADING = re.compile(r" {0,3}#{1,6}(?:[ \t]+(?P<text>.*?))??(?:[ \t]+#+)?[ \t]*")
_UNDERLINE = re.compile(r" {0,3}(?:=+|-+)[ \t]*")
_FENCE = re.compile(r" {0,3}(?P<fence>`{3,}|~{3,})")
# Lines that an underline does not make a heading.
_NO_PARAGRAPH = re.compile(r"\s*$| {4}|\t| {0,3}(?:>|[-*+][ \t]|\d{1,9}[.)][ \t]|\||<)")
_LINK = re.compile(r"!?\[([^\]\[]*)\](?:\([^()]*\)|\[[^\]\[]*\])")
_WIKI_LINK = re.compile(r"\[\[(?:[^\]\[|]*\|)?([^\]\[|]+)\]\]")
_EMPHASIS = re.compile(r"(?<!\w)([*_`~]{1,3})(?=\S)(.+?)(?<=\S)\1(?!\w)")


def read_markdown(raw: bytes) -> Content:
    """Return the text of Markdown with its front matter as metadata.

    Front matter is YAML between lines `---`, or TOML between lines `+++`, at the start. Its `title`
    is the title, and else the first heading, which also stays in the text. One that cannot be read
    is a part of the text, and `note` says why.
    """
    text = decode(raw)
    found = _FRONT.match(text)
    if found is None:
        note = "it does not end" if _LOOKS_LIKE_A_FIELD.match(text) else ""
        return Content(text, first_heading(text), note=note and _note(note))
    try:
        fields = parse_front_matter(found["body"], toml=found["fence"] == "+++")
        title = _take_title(fields)
        Document("any", "", title, fields)
    except InputError as error:
        return Content(text, first_heading(text[found.end() :]), note=_note(str(error)))
    # Blank lines separate the front matter from the text.
    body = text[found.end() :].lstrip("\r\n")
    return Content(body, title or first_heading(body), fields)


def _note(reason: str) -> str:
    return f"its front matter cannot be read ({reason}) and is a part of the text"


def _take_title(fields: dict[str, Any]) -> str:
    title = fields.get("title")
    if isinstance(title, str | int | float) and not isinstance(title, bool):
        return " ".join(str(fields.pop("title")).split())
    return ""


def first_heading(text: str) -> str:
    """Return the text of the first heading, without the marks of links and emphasis; or "".

    Lines in fenced code are none.
    """
    fence = above = ""
    for line in text.splitlines():
        if fence:
            if line.strip().startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
            continue
        if opened := _FENCE.match(line):
            fence, above = opened["fence"], ""
        elif heading := _HEADING.fullmatch(line):
            if shown := _plain(heading["text"] or ""):
                return shown
            above = ""
        elif above and _UNDERLINE.fullmatch(line):
            return _plain(above)
        elif _NO_PARAGRAPH.match(line):
            above = ""
        else:
            # A heading of several lines is rare; a paragraph above a rule is not.
            above = "" if above else line.strip()
    return ""


def _plain(heading: str) -> str:
    shown = _WIKI_LINK.sub(r"\1", _LINK.sub(r"\1", heading))
    return " ".join(_EMPHASIS.sub(r"\2", shown).split())
