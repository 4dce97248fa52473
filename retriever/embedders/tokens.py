"""Texts to words, a whole batch at a time.

A word is a maximal run of Unicode letters, marks and digits (the general categories L, M and N);
everything else separates: `don't` is `don` and `t`, `COVID-19` is `COVID` and `19`, `snake_case` is
two words. Nothing is stemmed and no word is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Words", "chunks", "split"]

# RE2 classes: https://github.com/google/re2/wiki/Syntax
NOT_A_WORD = r"[^\pL\pM\pN]+"

# One of arrow's lists holds at most 2**31 entries, and memory should not grow with the batch.
CHUNK_CHARACTERS = 1 << 24

# Every ASCII separator becomes a space, which splits about four times as fast as a pattern does.
ASCII_TO_SPACE = bytes(
    code if code >= 128 or chr(code).isalnum() else ord(" ") for code in range(256)
)


@dataclass(frozen=True)
class Words:
    """The words of some texts, in order.

    `codes` (total,) int32 are positions in `distinct`; the words of text `i` are
    `codes[offsets[i]:offsets[i + 1]]`; `offsets` (texts + 1,) int64. An empty text has no words.
    """

    codes: NDArray[np.int32]
    offsets: NDArray[np.int64]
    distinct: list[str]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def of(self, text: int) -> list[str]:
        """The words of one text, by its position."""
        stretch = self.codes[self.offsets[text] : self.offsets[text + 1]]
        return [self.distinct[code] for code in stretch]


def split(texts: Sequence[str], *, lower: bool) -> Words:
    """The words of every text; `lower` lower-cases them first (character by character, no locale).

    Raises:
        UnicodeEncodeError: a text holds a lone surrogate.
    """
    import pyarrow as pa

    parts = [_split_chunk(chunk, lower) for chunk in chunks(texts)]
    if not parts:
        return Words(np.zeros(0, np.int32), np.zeros(1, np.int64), [])
    pieces = pa.chunked_array([encoded for encoded, _ in parts]).unify_dictionaries()
    counts = np.concatenate([counts for _, counts in parts])
    codes = np.concatenate([_numpy(chunk.indices) for chunk in pieces.chunks])
    return _words_of_pieces(pieces.chunk(0).dictionary, codes, counts)


def chunks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Stretches of at most `CHUNK_CHARACTERS` characters, in order; a longer text goes alone."""
    start, size = 0, 0
    for position, text in enumerate(texts):
        if size and size + len(text) > CHUNK_CHARACTERS:
            yield texts[start:position]
            start, size = position, 0
        size += len(text)
    if start < len(texts):
        yield texts[start:]


def _split_chunk(texts: Sequence[str], lower: bool) -> tuple[Any, NDArray[np.int64]]:
    """The pieces between ASCII separators, dictionary-encoded, and how many each text has."""
    import pyarrow as pa
    import pyarrow.compute as pc

    strings = pa.array(texts, pa.large_string())
    if lower:
        strings = pc.utf8_lower(strings)
    lists = pc.split_pattern(_spaced(strings), " ")
    ends = _numpy(lists.offsets).astype(np.int64)
    return lists.flatten().dictionary_encode(), ends[1:] - ends[:-1]


def _spaced(strings: Any) -> Any:
    """The same strings with a space for every ASCII separator.

    UTF-8 writes no other character with a byte below 128, so bytes can be translated one by one.
    """
    import pyarrow as pa

    _, offsets, data = strings.buffers()
    spaced = data.to_pybytes().translate(ASCII_TO_SPACE) if data else b""
    return pa.LargeStringArray.from_buffers(len(strings), offsets, pa.py_buffer(spaced))


def _words_of_pieces(
    pieces: Any, codes: NDArray[np.int32], pieces_of_text: NDArray[np.int64]
) -> Words:
    """Pieces to words: most are one word, an empty one is none, `naïve–art` is two."""
    parts, first = _parts(pieces)
    distinct, part_codes, first = _without_empty(
        parts.dictionary.to_pylist(), _numpy(parts.indices), first
    )
    parts_of_piece = np.diff(first)[codes]
    ends = np.concatenate([[0], np.cumsum(parts_of_piece)])
    # The position of every word among the parts of its own piece.
    within = np.arange(ends[-1]) - np.repeat(ends[:-1], parts_of_piece)
    words = part_codes[np.repeat(first[codes], parts_of_piece) + within]
    offsets = ends[np.concatenate([[0], np.cumsum(pieces_of_text)])]
    return Words(words.astype(np.int32, copy=False), offsets, distinct)


def _parts(pieces: Any) -> tuple[Any, NDArray[np.int64]]:
    """Distinct pieces split at what is not ASCII either: (parts, where each piece's parts start).

    Only distinct pieces meet the pattern, and none where all is ASCII: compiling it costs as much
    as splitting a hundred queries.
    """
    import pyarrow.compute as pc

    if pc.all(pc.string_is_ascii(pieces)).as_py():
        return pieces.dictionary_encode(), np.arange(len(pieces) + 1)
    lists = pc.split_pattern_regex(pieces, NOT_A_WORD)
    return lists.flatten().dictionary_encode(), _numpy(lists.offsets).astype(np.int64)


def _without_empty(
    distinct: list[str], codes: NDArray[np.int32], first: NDArray[np.int64]
) -> tuple[list[str], NDArray[np.int32], NDArray[np.int64]]:
    """The same parts without the empty string: its code and its places are closed up."""
    if "" not in distinct:
        return distinct, codes, first
    empty = distinct.index("")
    kept = codes != empty
    places = np.concatenate([[0], np.cumsum(kept)])
    closed = codes[kept] - (codes[kept] > empty)
    return distinct[:empty] + distinct[empty + 1 :], closed, places[first]


def _numpy(array: Any) -> NDArray[Any]:
    values: NDArray[Any] = array.to_numpy(zero_copy_only=False)
    return values
