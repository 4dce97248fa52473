"""Text from documents and queries, made harmless to a terminal.

A document may hold anything, an escape sequence too, and must not steer the terminal.
"""

from __future__ import annotations

import re

CONTROLS = r"\x00-\x1f\x7f-\x9f"
BLANK = re.compile(rf"[\s{CONTROLS}]+")
# Line feeds and tabs stay.
STEERING = re.compile(rf"(?![\n\t])[{CONTROLS}]")


def one_line(text: str) -> str:
    """`text` with every run of blanks and control characters as one space, and none at the ends."""
    return BLANK.sub(" ", text).strip()


def printable(text: str) -> str:
    """`text` in its lines, with every control character but line feeds and tabs as a space."""
    return STEERING.sub(" ", text.replace("\r\n", "\n"))
