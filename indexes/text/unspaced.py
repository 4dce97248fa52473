"""Scripts without spaces between words, and Korean, where particles follow a noun without a space.

No dictionary is needed: BM25 indexes each character and each pair of neighbors (as Lucene's
CJKBigramFilter with unigrams), static embeddings cut a run by their own vocabulary, and a passage
may end after any character. A *character* here is a letter with its marks: a Thai consonant keeps
its vowel signs and tone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from itertools import pairwise

_HAN = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_KANA = "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\U0001b000-\U0001b16f"
_HANGUL = "\u1100-\u11ff\u3131-\u318e\ua960-\ua97c\uac00-\ud7a3\ud7b0-\ud7fb"
# Thai, Lao, Tibetan, Myanmar, Khmer, Tai and related scripts of Southeast Asia.
_SOUTHEAST = (
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ecd\u0edc-\u0edf\u0f40-\u0f84\u0f90-\u0fbc"
    "\u1000-\u109f\u1780-\u17d3\u17dc\u17dd\u1950-\u19df\u1a20-\u1aad\ua9e0-\ua9fe\uaa60-\uaadf"
)
# Marks of these scripts, and what stays with the letter before it.
_MARKS = (
    "\u0300-\u036f\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ecd\u0f71-\u0f84\u0f90-\u0fbc"
    "\u102b-\u103e\u1056-\u1059\u105e-\u1060\u1062-\u1064\u1067-\u106d\u1071-\u1074\u1082-\u108d\u108f"
    "\u109a-\u109d\u17b4-\u17d3\u17dd\u1a55-\u1a7f\u3099\u309a\u200c\u200d"
)
_ANY = f"{_HAN}{_KANA}{_HANGUL}{_SOUTHEAST}"
# Scripts in which a zero-width space marks the end of a word.
WITHOUT_BREAKS = re.compile(f"[{_SOUTHEAST}]")
EAST_ASIAN = re.compile(f"[{_HAN}{_KANA}{_HANGUL}]")
UNSPACED = re.compile(f"[{_ANY}]")
_NO_SPACES = re.compile(f"[{_HAN}{_KANA}{_SOUTHEAST}]")
_RUN = re.compile(f"[{_ANY}][{_ANY}{_MARKS}]*")
_CHARACTER = re.compile(f".[{_MARKS}]*", re.DOTALL)
# Punctuation of East Asian text, which has no space after it.
_PUNCTUATION = (
    "\u2014\u2018-\u201d\u2026\u3001-\u3003\u3008-\u3011\u3014-\u301f"
    "\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65"
)
# Words between spaces; in scripts without spaces, characters.
_UNIT = re.compile(
    f"[{_HAN}{_KANA}{_SOUTHEAST}][{_MARKS}]*[{_PUNCTUATION}]*|[^\\s{_HAN}{_KANA}{_SOUTHEAST}]+"
)
_MARK = re.compile(f"[{_MARKS}]")
# Words of other scripts.
SPACED = re.compile(r"\S+")


def units(text: str) -> re.Pattern[str]:
    """Return the pattern of the words of a text by which passages are measured.

    A word is a run between whitespace; in scripts without spaces, a character.
    """
    return _UNIT if not text.isascii() and _NO_SPACES.search(text) else SPACED


def may_break(before: str, after: str) -> bool:
    """Return whether a word may end between two letters: next to a script without spaces.

    Between two Korean syllables too, where a particle may begin, but not before a mark.
    """
    if _MARK.match(after):
        return False
    both = UNSPACED.match(before) and UNSPACED.match(after)
    return bool(both or _NO_SPACES.match(before) or _NO_SPACES.match(after))


def characters_of(run: str) -> list[str]:
    """Return the characters of a text, each with its marks."""
    return _CHARACTER.findall(run)


def spell_out(text: str, *, query: bool = False) -> str:
    """Replace each run of an unspaced script by its terms, between spaces.

    The terms of a document are its characters and the pairs of neighbors; those of a `query` are
    its pairs, or a character that stands alone. Other text stays.
    """
    if text.isascii() or not UNSPACED.search(text):
        return text
    return _RUN.sub(lambda run: f" {' '.join(_terms(run[0], query=query))} ", text)


def _terms(run: str, *, query: bool) -> list[str]:
    single = characters_of(run)
    pairs = [first + second for first, second in pairwise(single)]
    return pairs if query and pairs else single + pairs


def cut(run: str, rank: Callable[[str], int], longest: int) -> list[str]:
    """Cut a run into words of a vocabulary, of at most `longest` characters each.

    `rank` returns the row of a word, or -1. The fewest characters are left over, in the fewest
    words; among equals, the more frequent words win. Neighbors that are left over stay together.
    """
    single = characters_of(run)
    best: list[tuple[int, int, float, int]] = [(0, 0, 0.0, 0)]
    for end in range(1, len(single) + 1):
        left, words, cost, _ = best[end - 1]
        found = (left + 1, words, cost, end - 1)
        for begin in range(max(0, end - longest), end):
            row = rank("".join(single[begin:end]))
            if row >= 0:
                left, words, cost, _ = best[begin]
                found = min(found, (left, words + 1, cost + math.log(row + 2), begin))
        best.append(found)
    return _pieces(single, best)


def _pieces(single: Sequence[str], best: Sequence[tuple[int, int, float, int]]) -> list[str]:
    """Return the pieces that lead to the best end, in order."""
    pieces, end, open_end = list[str](), len(single), 0
    while end:
        begin = best[end][3]
        if best[end][0] > best[begin][0]:
            open_end = open_end or end
        else:
            if open_end:
                pieces.append("".join(single[end:open_end]))
            pieces.append("".join(single[begin:end]))
            open_end = 0
        end = begin
    if open_end:
        pieces.append("".join(single[:open_end]))
    return pieces[::-1]
