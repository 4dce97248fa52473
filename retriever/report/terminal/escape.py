"""Removal of control characters, so that no document can control the terminal."""

from __future__ import annotations

import re

CONTROLS = r"\x00-\x1f\x7f-\x9f"
BLANK = re.compile(rf"[\s{CONTROLS}]+")
# Line feeds and tabs stay.
CONTROLLING = re.compile(rf"(?![\n\t])[{CONTROLS}]")


def one_line(text: str) -> str:
    """Collapse blanks and control characters to single spaces, and strip the ends."""
    return BLANK.sub(" ", text).strip()


def printable(text: str) -> str:
    """Replace control characters other than line feeds and tabs with spaces."""
    return CONTROLLING.sub(" ", text.replace("\r\n", "\n"))
