"""TREC topics: queries between tags, in the format of the TREC tracks."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from indexes.errors import BadRecord, FileFormatError
from retriever.formats.lines import invalid_utf8, strip_bom
from retriever.formats.rows import Row
from retriever.formats.trec import check_token

# The query text: the first of these fields that a topic has.
QUERY_FIELDS = ("title", "query")
ID_FIELDS = ("num", "number")
ID_ATTRIBUTES = ("number", "num", "id", "qid")

# Markup within a text, not fields of a topic.
INLINE = frozenset({"b", "br", "em", "i", "p", "strong", "sub", "sup", "tt", "u"})

# TREC's own labels, which precede the text of a field.
LABELS = {"num": "Number:", "number": "Number:", "title": "Topic:"}

_START = re.compile(r"\s*<(?:top|topics?|\?xml)[\s>]", re.IGNORECASE)
_CDATA = re.compile(r"<!\[CDATA\[(.*?)\]\]>", re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
# A "<" before anything but a letter belongs to the text: "p < 0.05".
_TAG = re.compile(r"<([/?!]?)([A-Za-z][\w-]*)(\s[^<>]*)?/?>")
_ATTRIBUTE = re.compile(r"([\w-]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")
_REFERENCE = re.compile(r"&(?:(lt|gt|amp|quot|apos)|#([0-9]{1,7})|#x([0-9A-Fa-f]{1,6}));")
_NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "apos": "'"}
_LAST_CHARACTER = 0x10FFFF
# Single spaces between words are kept; reading would collapse all other white space.
_SPACE = re.compile(r"((?<=\S) (?=\S))|\s")


def looks_like_topics(line: bytes) -> bool:
    """Return whether `line`, the first that is not blank, begins a file of topics."""
    return bool(_START.match(strip_bom(line).decode(errors="replace") + "\n"))


def read_topics(stream: Iterable[bytes], name: str) -> Iterator[Row]:
    """Yield `(place, row)` with `_id` and `text` for every topic, or the reason it is unusable.

    A topic is `<top>` with `<num>`, or `<topic number="1">`; closing tags are optional, and a field
    may span lines: runs of white space become one space. The text is the title, else the
    `<query>`, else, in a topic without fields, all of it. TREC's labels (`Number:`, `Topic:`) are
    removed and references such as `&lt;` are decoded. The place is the line where the topic starts.
    """
    faults: list[tuple[str, BadRecord]] = []
    text = _decoded(stream, name, faults)
    text = _CDATA.sub(lambda found: html.escape(found[1], quote=False), text)
    text = _COMMENT.sub(lambda found: "\n" * found[0].count("\n"), text)
    yield from faults
    topics = list(_topics(text, name))
    if not topics and not faults:
        raise FileFormatError(
            f"{name} has no TREC topics. Expected <top> with <num> and <title>, "
            'or <topic number="1"> with <title> or <query>.'
        )
    yield from ((topic.place, _row(topic)) for topic in topics)


def topic_text(query_id: str, text: str) -> str:
    """Return a query as a TREC topic that round-trips.

    Characters that would be read as a tag, or collapsed as white space, are written as XML
    references: `&lt;` for `<`, `&#10;` for a line feed.
    """
    check_token("query id", query_id)
    number, title = _written(query_id, "Number:"), _written(text, "Topic:")
    return f"<top>\n<num> Number: {number}\n<title> {title}\n</top>\n\n"


@dataclass
class _Topic:
    """A topic being read: `pieces` maps a field, or "" outside of fields, to its parts."""

    place: str
    attributes: dict[str, str]
    pieces: dict[str, list[str]] = field(default_factory=dict)
    fault: str = ""

    def open_field(self, name: str) -> None:
        """Begin the text of field `name`; a topic has one number and one title."""
        if name in self.pieces and name in (*ID_FIELDS, *QUERY_FIELDS):
            self.fault = self.fault or f"<{name}> twice in a topic; is a <top> missing?"
        self.pieces.setdefault(name, [])

    def text_of(self, names: Iterable[str]) -> str | None:
        """Return the text of the first of `names` that the topic has."""
        for name in names:
            if name in self.pieces:
                return _read(" ".join(self.pieces[name]), LABELS.get(name, ""))
        return None


def _topics(text: str, name: str) -> Iterator[_Topic]:
    """Yield the topics of `text`, each at its end."""
    topic: _Topic | None = None
    inside, end, line = "", 0, 1
    for tag in _TAG.finditer(text):
        if topic:
            topic.pieces.setdefault(inside, []).append(text[end : tag.start()])
        line += text.count("\n", end, tag.start())
        closing, kind = bool(tag[1]), tag[2].lower()
        if kind in ("top", "topic"):
            if topic:
                yield topic
            attributes = {key.lower(): a or b for key, a, b in _ATTRIBUTE.findall(tag[3] or "")}
            topic = None if closing else _Topic(f"{name}:{line}", attributes)
            inside = ""
        elif topic and kind not in INLINE:
            inside = "" if closing else kind
            topic.open_field(inside)
        elif kind in ID_FIELDS and not closing:
            yield _Topic(f"{name}:{line}", {}, fault=f"<{kind}> outside of a topic; no <top>")
        line += text.count("\n", tag.start(), tag.end())
        end = tag.end()
    if topic:
        topic.pieces.setdefault(inside, []).append(text[end:])
        yield topic


def _row(topic: _Topic) -> dict[str, str] | BadRecord:
    if topic.fault:
        return BadRecord(topic.place, topic.fault)
    number = topic.text_of(ID_FIELDS)
    if number is None:
        number = next((topic.attributes[k] for k in ID_ATTRIBUTES if k in topic.attributes), "")
    if not number:
        return BadRecord(topic.place, "a topic without a number: expected <num>, or number= in it")
    text = topic.text_of(QUERY_FIELDS)
    if text is None and topic.pieces.keys() <= {"", *ID_FIELDS}:
        text = topic.text_of([""]) or None
    if text is None:
        return BadRecord(topic.place, f"topic '{number}' has no <title> and no <query>")
    return {"_id": number, "text": text}


def _decoded(stream: Iterable[bytes], name: str, faults: list[tuple[str, BadRecord]]) -> str:
    lines = []
    for number, raw in enumerate(stream, 1):
        raw = strip_bom(raw) if number == 1 else raw
        try:
            lines.append(raw.decode())
        except UnicodeDecodeError as error:
            place = f"{name}:{number}"
            faults.append((place, BadRecord(place, invalid_utf8(error))))
            lines.append(raw.decode(errors="replace"))
    return "".join(lines)


def _read(text: str, label: str) -> str:
    """Return a field's text in one line, without its label, references decoded."""
    line = " ".join(text.split())
    return _REFERENCE.sub(_character, line.removeprefix(label).lstrip())


def _character(found: re.Match[str]) -> str:
    if found[1]:
        return _NAMED[found[1]]
    code = int(found[2]) if found[2] else int(found[3], 16)
    return chr(code) if code <= _LAST_CHARACTER else found[0]


def _written(text: str, label: str) -> str:
    """Return `text` encoded so that `_read` restores it."""
    # Escape the first letter of a text that begins like TREC's label.
    own = text.startswith(label)
    spaced = _SPACE.sub(lambda found: found[1] or f"&#{ord(found[0])};", html.escape(text, False))
    return f"&#{ord(label[0])};{spaced[1:]}" if own else spaced
