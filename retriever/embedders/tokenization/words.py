"""Splitting of texts into words.

A word is a maximal run of Unicode letters, marks and digits (see `characters.py`); everything else
separates: `don't` is `don` and `t`, `COVID-19` is `COVID` and `19`, `snake_case` is two words.
There is no stemming, and no word is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from retriever.embedders.tokenization import characters
from retriever.embedders.tokenization.batch_split import SPACE, SplitRules, split_batch
from retriever.embedders.tokenization.characters import ASCII_LOWER, ASCII_WORDS, letters


@dataclass(frozen=True)
class Words:
    """Words of texts, in order.

    `codes` (total,) int32 are positions in `distinct`; the words of text `i` are
    `codes[offsets[i]:offsets[i + 1]]`; `offsets` (texts + 1,) int64. An empty text has no words.
    """

    codes: NDArray[np.int32]
    offsets: NDArray[np.int64]
    distinct: list[str]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def of(self, text: int) -> list[str]:
        """Return the words of one text, by its position."""
        stretch = self.codes[self.offsets[text] : self.offsets[text + 1]]
        return [self.distinct[code] for code in stretch]


def words_of(text: str, *, lower: bool) -> list[str]:
    """Return the words of one text: the fast twin of `split`."""
    if text.isascii():
        return text.encode().translate(ASCII_LOWER if lower else ASCII_WORDS).decode().split()
    return text.translate(letters(lower)).split()


def split(texts: Sequence[str], *, lower: bool) -> Words:
    """Split texts into words, lower-cased if `lower` (by character, independent of locale).

    A lone surrogate raises `UnicodeEncodeError`.
    """
    import pyarrow.compute as pc

    translation = ASCII_LOWER if lower else ASCII_WORDS
    blank = partial(_blank_separators, lower=lower)
    pieces = split_batch(texts, SplitRules(translation, blank=blank))
    if not lower or pc.all(pc.string_is_ascii(pieces.distinct)).as_py():
        return Words(pieces.codes, pieces.offsets, pieces.distinct.to_pylist())
    small = pc.utf8_lower(pieces.distinct).dictionary_encode()
    codes = small.indices.to_numpy()[pieces.codes]
    return Words(codes, pieces.offsets, small.dictionary.to_pylist())


def _blank_separators(text: NDArray[np.uint8], *, lower: bool) -> None:
    """Overwrite the UTF-8 bytes of non-ASCII separators with spaces."""
    first = np.flatnonzero(text >= 0xC0)
    if not len(first):
        return
    lead = text[first]
    size = 2 + (lead >= 0xE0).astype(np.uint8) + (lead >= 0xF0)
    codes = (lead & (0xFF >> (size + 1))).astype(np.int32)
    for step in (1, 2, 3):
        longer = np.flatnonzero(size > step)
        codes[longer] = codes[longer] << 6 | text[first[longer] + step] & 0x3F
    blank = characters.separators(codes, lower)
    first, size = first[blank], size[blank]
    for step in (0, 1, 2, 3):
        text[first[size > step] + step] = SPACE
