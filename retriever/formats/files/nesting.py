"""Markup nested without end, made flat before it is parsed.

A parser of HTML looks through all open elements at each block, and opens all formatting elements
that are still open again in each paragraph
(https://html.spec.whatwg.org/multipage/parsing.html#parsing-main-inbody): 100,000 open `<div>` take
a minute, and 10,000 open `<font>` the memory of the machine.
"""

from __future__ import annotations

import re
from collections import defaultdict

# As in Chromium.
MOST_LEVELS = 512
MOST_FORMATTING = 16
# Pages of so few tags take a moment however they are nested.
FEW_TAGS = 2_000

# As selectors of CSS.
BLOCKS = (
    "address, article, aside, blockquote, body, br, dd, details, dialog, div, dl, dt, fieldset, "
    "figcaption, figure, footer, form, h1, h2, h3, h4, h5, h6, header, hr, li, main, ol, option, "
    "p, section, summary, table, tbody, tfoot, thead, tr, ul"
)
FORMATTING = "a, b, big, code, em, font, i, nobr, s, small, strike, strong, tt, u"
_BLOCKS, _FORMATTING = frozenset(BLOCKS.split(", ")), frozenset(FORMATTING.split(", "))
# Elements without content, and those that the next of their kind ends.
_ENDED = (
    "area|base|br|col|embed|hr|img|input|link|meta|source|track|wbr|dd|dt|li|optgroup|option|p|"
    "rb|rp|rt|rtc|tbody|td|tfoot|th|thead|tr|html|head|body"
)
# Comments, elements whose content is no markup, and the tags of all elements but `_ENDED`.
_PARTS = re.compile(
    r"<(?:!--.*?(?:-->|\Z)|(script|style|textarea|title)\b.*?(?:</\1|\Z)"
    rf"|(?P<end>/?)(?!(?:{_ENDED})[\s/>])(?P<name>[a-z][^\s/>]*)[^>]*>?)",
    re.DOTALL | re.IGNORECASE,
)


def flattened(page: str, between_blocks: str) -> str:
    """Return a page without the tags of elements that are inside of more than `MOST_LEVELS` others.

    Those of blocks become `between_blocks`. So are tags left out that format what more than
    `MOST_FORMATTING` others format. The text stays; a page of `FEW_TAGS` is returned as it is.
    """
    if page.count("<") <= FEW_TAGS:
        return page
    return _PARTS.sub(_Flattening(between_blocks).kept, page)


class _Flattening:
    """The elements that are open at a place of a page."""

    def __init__(self, between_blocks: str) -> None:
        self._between = between_blocks
        self._open: list[str] = []
        self._formatting = 0
        self._counts = defaultdict[str, int](int)
        self._left_out = defaultdict[str, int](int)

    def kept(self, part: re.Match[str]) -> str:
        """Return a part of the page, or what takes its place."""
        tag, _, end, name = part[0], *part.groups()
        if name is None:
            return tag
        name = name.lower()
        keep = self._ends(name) if end else self._starts(name, tag)
        return tag if keep else self._between if name in _BLOCKS else ""

    def _starts(self, name: str, tag: str) -> bool:
        if tag.endswith("/>") and name not in _BLOCKS:
            return True
        formatting = name in _FORMATTING
        if self._formatting >= MOST_FORMATTING if formatting else len(self._open) >= MOST_LEVELS:
            self._left_out[name] += 1
            return False
        self._counts[name] += 1
        if formatting:
            self._formatting += 1
        else:
            self._open.append(name)
        return True

    def _ends(self, name: str) -> bool:
        if self._left_out and self._left_out[name]:
            self._left_out[name] -= 1
            return False
        if not self._counts[name]:
            return True  # of nothing that is open: it has no effect
        if name in _FORMATTING:
            self._formatting -= 1
            self._counts[name] -= 1
            return True
        while True:  # it also ends what is open inside
            ended = self._open.pop()
            self._counts[ended] -= 1
            if ended == name:
                return True
