"""The rows of many words at once, by a hash table of their bytes in NumPy.

A dictionary of hundreds of thousands of words waits for memory at each look-up; here those of a
batch wait together. On SciFact with GloVe's 400,000 words, 0.17 microseconds a word, not 0.38.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Halves = NDArray[np.uint64]

# Bytes of the words in a table, which are compared as two numbers; longer ones are few.
HALF, SHORT = 8, 16
_U = np.uint64
_MASKS = np.array([(1 << (8 * size)) - 1 for size in range(HALF + 1)], np.uint64)
# Odd numbers without a pattern; SplitMix64's first, as in Steele, Lea and Flood (2014), and one of
# xxHash's.
_ODD, _OTHER_ODD = _U(0x9E3779B97F4A7C15), _U(0xC2B2AE3D27D4EB4F)
_BREAK = ord("\n")


class RowTable:
    """The rows of words, none of which has a line break.

    `arrays` are `arrays_of` them. Those of `SHORT` bytes and more are looked up by `row_of`, which
    returns None for an unknown word. `NAME` changes with them.
    """

    NAME = "rows-1"

    def __init__(
        self, arrays: Mapping[str, NDArray[Any]], row_of: Callable[[str], int | None]
    ) -> None:
        self._low, self._high = arrays["low"], arrays["high"]
        self._rows, self._first = arrays["rows"], arrays["first"]
        self._bits = (len(self._first) - 1).bit_length() - 1
        self._row_of = row_of

    @staticmethod
    def arrays_of(words: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Return the words of each bucket, one bucket after the other, and where each begins."""
        bits = max(1, 2 * len(words)).bit_length()
        low, high, sizes = _halves(words)
        short = np.flatnonzero(sizes < SHORT)
        buckets = _buckets(low[short], high[short], bits)
        order = np.argsort(buckets, kind="stable")
        counts = np.bincount(buckets, minlength=1 << bits)
        return {
            "low": low[short][order],
            "high": high[short][order],
            "rows": short[order].astype(np.int32),
            "first": np.concatenate([[0], np.cumsum(counts)]).astype(np.int32),
        }

    def rows(self, words: Sequence[str]) -> Integers:
        """Return the row of each word, -1 if unknown."""
        low, high, sizes = _halves(words)
        found = np.full(len(words), -1, np.int64)
        buckets = _buckets(low, high, self._bits)
        at, stop = self._first[buckets], self._first[buckets + 1]
        left = np.flatnonzero((at < stop) & (sizes < SHORT))
        at = at[left]
        while len(left):
            same = (self._low[at] == low[left]) & (self._high[at] == high[left])
            found[left[same]] = self._rows[at[same]]
            at = at + 1
            going = ~same & (at < stop[left])
            left, at = left[going], at[going]
        for place in np.flatnonzero(sizes >= SHORT).tolist():
            row = self._row_of(words[place])
            found[place] = -1 if row is None else row
        return found


def _halves(words: Sequence[str]) -> tuple[Halves, Halves, Integers]:
    """Return the first bytes of each word as two numbers, and its size in bytes.

    A line break ends each, so that a word is no beginning of another.
    """
    text = "\n".join([*words, " " * SHORT]).encode(errors="surrogatepass")
    data = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(data == _BREAK)
    starts = np.concatenate([[0], ends + 1])[: len(words)]
    sizes = ends - starts
    at_any = np.ndarray(len(data) - HALF + 1, "<u8", text, strides=(1,))
    low = at_any[starts] & _MASKS[np.minimum(sizes + 1, HALF)]
    high = at_any[starts + HALF] & _MASKS[np.clip(sizes + 1 - HALF, 0, HALF)]
    return low, high, sizes


def _buckets(low: Halves, high: Halves, bits: int) -> Integers:
    mixed = (low * _ODD) ^ (high * _OTHER_ODD)
    mixed ^= mixed >> _U(29)
    return (mixed * _ODD >> _U(64 - bits)).astype(np.int64)
