"""The tokenization that ELMo was trained with: punctuation is split off, case is kept.

The published models were trained on the 1 Billion Word Benchmark, with texts such as `He didn 't
win in the U.S. , 6-3 .`
"""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import cache
from itertools import groupby


def tokenized(text: str) -> list[str]:
    """Return the words of a text in order; they cover all characters but white space.

    A word character is a Unicode letter, mark or digit, or `_`. A word is a run of these; a single
    hyphen or full stop between two of them stays inside (`well-known`, `3.14`), and so does a comma
    or colon between digits (`1,000`). An apostrophe (`'` or U+2019) after a word character and
    before another starts a new word (`don't` is `don` and `'t`). Two or more single letters with a
    full stop each are one word, including the last full stop (`U.S.`, `a.m.`). Every other
    character, with its combining marks, is a separate word; repeated ones are one word (`...`).
    """
    return [match.group() for match in _pattern(text.isascii()).finditer(text)]


def spans_of(text: str) -> list[tuple[int, int]]:
    """Return the spans, in characters, of the words that `tokenized` returns."""
    return [match.span() for match in _pattern(text.isascii()).finditer(text)]


@cache
def _pattern(ascii_only: bool) -> re.Pattern[str]:
    # Python's \w excludes marks; they are looked up only for non-ASCII text.
    marks = "" if ascii_only else _marks()
    word = rf"[\w{marks}]"
    alone = rf"([^\w\s{marks}])\1*" + (f"[{marks}]*" if marks else "")
    letters = rf"(?:[^\W\d_]\.){{2,}}(?!{word})"
    inside = rf"(?:[-.]|(?<=\d)[,:](?=\d)){word}+"
    return re.compile(rf"{letters}|(?:(?<={word})['\u2019])?{word}+(?:{inside})*|{alone}")


def _marks() -> str:
    """Return all Unicode marks as ranges for a character class."""
    codes = [n for n in range(sys.maxunicode + 1) if unicodedata.category(chr(n))[0] == "M"]
    # Consecutive codes have equal differences from their list positions.
    groups = (list(run) for _, run in groupby(enumerate(codes), lambda p: p[1] - p[0]))
    return "".join(f"{chr(run[0][1])}-{chr(run[-1][1])}" for run in groups)
