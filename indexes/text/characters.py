"""Classification of characters as parts of words or separators, and their lower case.

A word is a maximal run of Unicode letters, marks and digits (general categories L, M and N), and of
zero-width joiners between them. Lower case is by character, but for a sigma that ends a word.
Categories and lower case are Arrow's (RE2 and utf8proc), so that a batch and a single text are
split the same way; results are cached.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

import numpy as np
from numpy.typing import NDArray

from indexes.text.normalize import ZWJ, ZWNJ, is_affected

SPACE = ord(" ")
# RE2 classes: https://github.com/google/re2/wiki/Syntax
A_WORD = r"[\pL\pM\pN]"
UNKNOWN, WORD, SEPARATOR = range(3)
UNAFFECTED, AFFECTED = 1, 2
FINAL_SIGMA = re.compile("(?<=\\S)\u03c3(?!\\S)")

# UTF-8 writes no character beyond ASCII with a byte below 128: bytes can be translated one by one.
ASCII_WORDS = bytes(code if code >= 128 or chr(code).isalnum() else SPACE for code in range(256))
ASCII_LOWER = ASCII_WORDS.lower()


def versions() -> str:
    """Return the versions of what classifies characters here and in `normalize`."""
    import pyarrow as pa

    return f"{unicodedata.unidata_version}-{pa.__version__}"


def separators(codes: NDArray[np.int32], lower: bool) -> NDArray[np.bool_]:
    """Return whether each code point (lower-cased first if `lower`) is a separator."""
    table = _table(lower)
    if len(new := _unknown(table, codes)):
        table[new] = _classes(new.tolist(), lower)
    found: NDArray[np.bool_] = table[codes] == SEPARATOR
    return found


def affected(codes: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Return whether each code point may change in the normal form of its text."""
    table = _affected()
    for code in _unknown(table, codes).tolist():
        table[code] = AFFECTED if is_affected(chr(code)) else UNAFFECTED
    found: NDArray[np.bool_] = table[codes] == AFFECTED
    return found


def _unknown(table: NDArray[np.uint8], codes: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the distinct code points that are not in a table yet."""
    return np.unique(codes[table[codes] == UNKNOWN])


def lower_case(word: str) -> str:
    """Lower-case a word, or several between spaces."""
    if word.isascii():
        return word.lower()
    return FINAL_SIGMA.sub("\u03c2", word.translate(_LOWER))


def lower_each(text: str) -> str:
    """Lower-case each character of a text; a final sigma is as any other."""
    return text.lower() if text.isascii() else text.translate(_LOWER)


@cache
def letters(lower: bool) -> dict[int, str]:
    """Return a `str.translate` table: separators to spaces, letters to lower case if `lower`."""
    return _Letters(lower)


class _Lower(dict[int, str]):
    """Characters to lower case, computed once each."""

    def __missing__(self, code: int) -> str:
        import pyarrow as pa
        import pyarrow.compute as pc

        small = str(pc.utf8_lower(pa.scalar(chr(code))).as_py())
        self[code] = small
        return small


_LOWER = _Lower()


class _Letters(dict[int, str]):
    """Characters to themselves, to lower case, or to a space; computed once each."""

    def __init__(self, lower: bool) -> None:
        table = ASCII_LOWER if lower else ASCII_WORDS
        super().__init__(enumerate(table[:128].decode()))
        self._lower = lower

    def __missing__(self, code: int) -> str:
        character = chr(code)
        if separators(np.array([code], np.int32), self._lower)[0]:
            character = " "
        elif self._lower:
            character = _LOWER[code]
        self[code] = character
        return character


@cache
def _affected() -> NDArray[np.uint8]:
    return np.full(0x110000, UNKNOWN, np.uint8)


@cache
def _table(lower: bool) -> NDArray[np.uint8]:
    """Return the cached class of every code point. Filling an entry twice is harmless."""
    return np.full(0x110000, UNKNOWN, np.uint8)


def _classes(codes: list[int], lower: bool) -> NDArray[np.uint8]:
    import pyarrow as pa
    import pyarrow.compute as pc

    characters = pa.array([chr(code) for code in codes], pa.string())
    if lower:
        # RE2 may know recent letters only in lower case, where utf8proc knows the capitals too.
        characters = pc.utf8_lower(characters)
    words = pc.match_substring_regex(characters, A_WORD).to_numpy(zero_copy_only=False)
    # The normal form keeps joiners only between letters.
    words = words | np.isin(codes, [ord(ZWNJ), ord(ZWJ)])
    return np.where(words, WORD, SEPARATOR).astype(np.uint8)
