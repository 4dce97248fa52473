"""The normal form of a text: texts that look equal become equal.

- Canonical composition (NFC), so that `é` is one character however it was typed.
- Compatibility forms of letters, marks and digits are folded as by NFKC (Unicode Standard Annex
  15): ligatures, full-width letters, half-width Katakana, presentation forms, superscripts. Symbols
  and punctuation stay, as `Windows™` is no `WindowsTM`. A superscript or fraction after a digit is
  set apart: `10⁵` becomes `10 5`, not 105.
- Characters that are not visible are removed: soft hyphens, word joiners, byte-order marks, marks
  of direction, variation selectors. A zero-width space separates words in scripts without spaces
  and is removed elsewhere. Zero-width joiners stay between letters, where they may belong to a
  word's spelling; `without_joiners` removes them.

ASCII is its own normal form.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise

from indexes.text.unspaced import EAST_ASIAN, WITHOUT_BREAKS

ZWSP, ZWNJ, ZWJ = "\u200b", "\u200c", "\u200d"
# After Unicode's Default_Ignorable_Code_Point: category Cf without the visible signs of Arabic and
# other scripts, and those of other categories. Joiners and ZWSP are treated on their own.
_VISIBLE_FORMAT = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
_OTHER_INVISIBLE = {
    *(0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0),
    *range(0x180B, 0x1810),
    *range(0xFE00, 0xFE10),
    *range(0xE0100, 0xE01F0),
}
# NFKC takes these apart, and no file of words or keyboard does.
_KEPT = {0xE33, 0xEB3}
_SPLIT_SARA_AM = re.compile("\u0e4d([\u0e48-\u0e4b]?)\u0e32")
_RAISED = "\u00b2\u00b3\u00b9\u00bc-\u00be\u2070-\u2089\u2150-\u215f"
_RAISED_AFTER_DIGIT = re.compile(f"(?<=[0-9])(?=[{_RAISED}])")
# Full-width punctuation belongs to East Asian text, and is an accident in any other.
_FULL_WIDTH_MARK = re.compile("[\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff5e\u3000]")
_SPACING = re.compile(f"[{ZWSP}{ZWNJ}{ZWJ}]")


def normalize(text: str) -> str:
    """Return the normal form of a text; applied again, it changes nothing."""
    if text.isascii():
        return text
    if _SPACING.search(text):
        text = _SPACING.sub(_spaced, text)
    text = _RAISED_AFTER_DIGIT.sub(" ", text)
    if _FULL_WIDTH_MARK.search(text) and not EAST_ASIAN.search(text):
        text = _FULL_WIDTH_MARK.sub(lambda mark: _half_width(mark[0]), text)
    folded = unicodedata.normalize("NFC", text.translate(_FOLDED))
    return _SPLIT_SARA_AM.sub("\\1\u0e33", folded) if "\u0e4d" in folded else folded


def normalize_all(texts: Sequence[str]) -> list[str]:
    """Return the normal forms of some texts."""
    return [text if text.isascii() else normalize(text) for text in texts]


def normalize_with_origins(text: str) -> tuple[str, list[int]]:
    """Return the normal form, and for each of its characters, and its end, the place in `text`.

    Characters that compose into one, and those that follow from one, share its place.
    """
    shown = _FULL_WIDTH_MARK.search(text) is not None and not EAST_ASIAN.search(text)
    folded, places, before = list[str](), list[int](), ""
    for place, character in enumerate(text):
        if _SPACING.match(character):
            character = spaced_at(text, place)
            # What is removed here separates no digit from what is raised.
            before = character or before
        elif _RAISED_AFTER_DIGIT.match(before + character, len(before)):
            before, character = character, f" {character}"
        else:
            before = character
            if shown and _FULL_WIDTH_MARK.match(character):
                character = _half_width(character)
        folded.append(character.translate(_FOLDED))
        places += [place] * len(folded[-1])
    return _composed("".join(folded), [*places, len(text)])


def _composed(text: str, places: list[int]) -> tuple[str, list[int]]:
    parts, origins = list[str](), list[int]()
    starts = [place for place in range(len(text)) if not _composes_at(text, place)]
    for begin, end in pairwise([*starts, len(text)]):
        part = _SPLIT_SARA_AM.sub("\\1\u0e33", unicodedata.normalize("NFC", text[begin:end]))
        first = places[begin:end]
        # Without a composition, every character keeps its own place.
        origins += first if len(part) == len(first) else [first[0]] * len(part)
        parts.append(part)
    return "".join(parts), [*origins, places[-1]]


def _composes_at(text: str, place: int) -> bool:
    """Return whether a character may compose with those before it."""
    character = text[place]
    if place == 0:
        return False
    return _is_composing(character) or (
        character == "\u0e32" and "\u0e4d" in text[max(0, place - 2) : place]
    )


def _is_composing(character: str) -> bool:
    return "\u1161" <= character <= "\u11ff" or unicodedata.category(character)[0] == "M"


def is_affected(character: str) -> bool:
    """Return whether a text with this character may differ from its normal form."""
    odd = _is_composing(character) or character in (ZWSP, ZWNJ, ZWJ)
    return odd or _FOLDED[ord(character)] != character


def without_joiners(word: str) -> str:
    """Return a word without zero-width joiners and non-joiners."""
    return word.replace(ZWJ, "").replace(ZWNJ, "")


def is_invisible(character: str) -> bool:
    """Return whether a character has no width and does not separate words (joiners included)."""
    code = ord(character)
    if character == ZWSP or code in _VISIBLE_FORMAT:
        return False
    return code in _OTHER_INVISIBLE or unicodedata.category(character) == "Cf"


class _Folded(dict[int, str]):
    """Characters to their compatibility folding; computed once each."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        folded = character
        if is_invisible(character) and character not in (ZWNJ, ZWJ):
            folded = ""
        elif unicodedata.category(character)[0] in "LMN" and code not in _KEPT:
            folded = unicodedata.normalize("NFKC", character)
        self[code] = folded
        return folded


_FOLDED = _Folded()


def _spaced(match: re.Match[str]) -> str:
    return spaced_at(match.string, match.start())


def spaced_at(text: str, place: int) -> str:
    """Return what a zero-width space or joiner is replaced by, given its neighbors."""
    # At place 0, the first slice is empty.
    before, after = text[place - 1 : place], text[place + 1 : place + 2]
    if text[place] == ZWSP:
        return " " if WITHOUT_BREAKS.match(before) and WITHOUT_BREAKS.match(after) else ""
    return text[place] if _in_word(before) and _in_word(after) else ""


def _in_word(character: str) -> bool:
    return character != "" and unicodedata.category(character)[0] in "LMN"


def _half_width(mark: str) -> str:
    return " " if mark == "\u3000" else chr(ord(mark) - 0xFEE0)
