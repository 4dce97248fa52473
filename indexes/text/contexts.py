"""The signs at words in entries of a vocabulary, each with its neighbors, as a table of hashes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from indexes.text.characters import SPACE, letters, lower_case

Bytes = NDArray[np.uint8]
Places = NDArray[np.intp]
# Letters whose capital is of another length in UTF-8, and letters of three bytes and more.
OTHER, BEYOND = 0xFFFF, 0x80
SLOTS_FOR_EACH = 16


class Contexts:
    """Where a text may have one of some entries, judged by the bytes around a sign.

    No place of an entry is missed: its first sign behind its first word, or else the sign before
    it. Case does not count, nor which digit it is.
    """

    def __init__(self, names: Sequence[str]) -> None:
        raw = np.frombuffer("".join(f" {name}\n" for name in names).encode(), np.uint8)
        shown = np.frombuffer("".join(f" {_shown(name)}\n" for name in names).encode(), np.uint8)
        shown = np.where(shown == ord("\n"), SPACE, shown).astype(np.uint8)
        tails, heads = _signs(raw, shown)
        tails = tails[raw[tails] != ord("\n")]
        lines = np.cumsum(raw == ord("\n"))
        own, firsts = np.unique(lines[tails], return_index=True)
        tails = tails[firsts]
        # The last sign before the first word of entries that have none behind it.
        heads = heads[~np.isin(lines[heads], own)]
        _, firsts = np.unique(lines[heads], return_index=True)
        keys = _tail_keys(raw, shown, tails), _head_keys(raw, shown, heads[firsts])
        size = max(1 << 10, 1 << (SLOTS_FOR_EACH * len(names)).bit_length())
        self._shift = np.uint64(64 - (size.bit_length() - 1))
        self._tails, self._heads = (self._table(size, some) for some in keys)
        self._signs = _present(raw[tails], 256), _present(raw[heads[firsts]], 256)

    def _table(self, size: int, keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
        return _present(self._slots(keys), size)

    def _slots(self, keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
        return keys * np.uint64(0x9E3779B97F4A7C15) >> self._shift

    def places(self, raw: Bytes, shown: Bytes) -> Places:
        """Return the places of signs, ascending, where an entry may be."""
        tails, heads = _signs(raw, shown)
        tails = tails[self._signs[0][raw[tails]]]
        heads = heads[self._signs[1][raw[heads]]]
        tails = tails[self._tails[self._slots(_tail_keys(raw, shown, tails))]]
        heads = heads[self._heads[self._slots(_head_keys(raw, shown, heads))]]
        return np.sort(np.concatenate([tails, heads])) if len(heads) else tails


def _present(values: NDArray[np.integer], size: int) -> NDArray[np.bool_]:
    table = np.zeros(size, np.bool_)
    table[values] = True
    return table


def _signs(raw: Bytes, shown: Bytes) -> tuple[Places, Places]:
    """Return the first sign behind each word, and the last one before each word."""
    inside = shown != SPACE
    signs = np.flatnonzero((raw != SPACE) > inside)
    behind = inside[signs - 1]
    others = signs[~behind]
    return signs[behind], others[inside[np.minimum(others + 1, len(raw) - 1)]]


def _tail_keys(raw: Bytes, shown: Bytes, at: Places) -> NDArray[np.uint64]:
    near = _pairs(shown, at - 2)
    far = np.where(_deep()[near], _classes()[_pairs(shown, at - 4)], 0)
    keys = _classes()[near].astype(np.uint64) | far.astype(np.uint64) << np.uint64(16)
    keys |= raw[at].astype(np.uint64) << np.uint64(32)
    return keys | _after(shown, at) << np.uint64(40)


def _head_keys(raw: Bytes, shown: Bytes, at: Places) -> NDArray[np.uint64]:
    return raw[at].astype(np.uint64) | _after(shown, at) << np.uint64(8)


def _pairs(shown: Bytes, at: Places) -> NDArray[np.uint16]:
    return shown[at].astype(np.uint16) << 8 | shown[at + 1]


def _after(shown: Bytes, at: Places) -> NDArray[np.uint64]:
    """Return the two bytes behind a sign; the second only behind an ASCII letter or digit."""
    first = _FOLDED[shown[at + 1]]
    second = _FOLDED[shown[np.minimum(at + 2, len(shown) - 1)]]
    second = np.where((first == SPACE) | (first == BEYOND), 0, second)
    return first.astype(np.uint64) | second.astype(np.uint64) << np.uint64(8)


def _folded() -> Bytes:
    table = np.arange(256, dtype=np.uint8)
    table[ord("A") : ord("Z") + 1] += 32
    table[ord("0") : ord("9") + 1] = ord("0")
    table[128:] = BEYOND
    return table


_FOLDED = _folded()


@cache
def _classes() -> NDArray[np.uint16]:
    """Return what is compared of every pair of bytes that ends in a letter; 0 without one."""
    first, second = np.divmod(np.arange(1 << 16), 256)
    pairs = _FOLDED[first].astype(np.uint16) << 8 | _FOLDED[second]
    two_bytes = (first >= 0xC2) & (first < 0xE0) & (second >= 0x80)
    codes = np.where(two_bytes, (first & 0x1F) << 6 | second & 0x3F, 0)
    pairs = np.where(second < 0x80, pairs, np.where(two_bytes, _two_byte_classes()[codes], OTHER))
    return np.where(second == SPACE, 0, pairs).astype(np.uint16)


@cache
def _deep() -> NDArray[np.bool_]:
    """Return whether the pair before is that of a letter's end, too."""
    first, second = np.divmod(np.arange(1 << 16), 256)
    ascii_pair = (first < 0x80) & (second < 0x80) & (first != SPACE) & (second != SPACE)
    letter = (second >= 0x80) & (_classes() != OTHER)
    return ascii_pair | letter


def _two_byte_classes() -> NDArray[np.uint16]:
    """Return a number above those of ASCII pairs for each code below 0x800, equal in any case."""
    small = [lower_case(chr(code)).replace("\u03c2", "\u03c3") for code in range(0x80, 0x800)]
    codes = np.array([0] * 0x80 + [ord(c) if len(c) == 1 else 0x800 for c in small])
    beyond = {lower_case(chr(code)) for code in [*range(0x800, 0xD800), *range(0xE000, 0x10000)]}
    odd = [ord(c) for c in beyond if len(c) == 1 and ord(c) < 0x800]
    result = np.where((codes < 0x800) & (codes >= 0x80), 0x8000 | codes, OTHER)
    result[np.isin(codes, odd)] = OTHER
    return result.astype(np.uint16)


def _shown(name: str) -> str:
    """Return a name with a space for each byte of a separator."""
    if name.isascii():
        return name.translate(letters(lower=False))
    shown = name.translate(letters(lower=False))
    pairs = zip(name, shown, strict=True)
    return "".join(s if s != " " else " " * len(c.encode()) for c, s in pairs)
