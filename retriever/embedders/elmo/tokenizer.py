"""Words as ELMo saw them when it was trained: punctuation stands apart, case stays.

The published models were trained on the 1 Billion Word Benchmark, whose texts read like
`He didn 't win in the U.S. , 6-3 .`
"""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import cache
from itertools import groupby


def tokenized(text: str) -> list[str]:
    """The words of a text, in order; all of its characters but white space are in one.

    A word character is a Unicode letter, mark or digit, or `_`. A word is a run of these;
    a single hyphen or full stop between two of them stays inside (`well-known`, `3.14`), and so
    does a comma or colon between digits (`1,000`). An apostrophe (`'` or U+2019) after a word
    character and before another begins a new word (`don't` is `don` and `'t`). Single letters with
    a full stop each, two or more, are one word with the last full stop (`U.S.`, `a.m.`). Every
    other character, with the marks upon it, is a word of its own, repeated ones together (`...`).
    """
    return [match.group() for match in _pattern(text.isascii()).finditer(text)]


def spans_of(text: str) -> list[tuple[int, int]]:
    """Where each of the words that `tokenized` gives begins and ends in the text, in characters."""
    return [match.span() for match in _pattern(text.isascii()).finditer(text)]


@cache
def _pattern(ascii_only: bool) -> re.Pattern[str]:
    # Python's \w has no marks; they are looked up only where there may be some.
    marks = "" if ascii_only else _marks()
    word = rf"[\w{marks}]"
    alone = rf"([^\w\s{marks}])\1*" + (f"[{marks}]*" if marks else "")
    letters = rf"(?:[^\W\d_]\.){{2,}}(?!{word})"
    inside = rf"(?:[-.]|(?<=\d)[,:](?=\d)){word}+"
    return re.compile(rf"{letters}|(?:(?<={word})['\u2019])?{word}+(?:{inside})*|{alone}")


def _marks() -> str:
    """All Unicode marks, as ranges for a character class."""
    codes = [n for n in range(sys.maxunicode + 1) if unicodedata.category(chr(n))[0] == "M"]
    # Neighbours have the same distance from their places in the list.
    runs = [
        [code for _, code in run] for _, run in groupby(enumerate(codes), lambda p: p[1] - p[0])
    ]
    return "".join(f"{chr(run[0])}-{chr(run[-1])}" for run in runs)
