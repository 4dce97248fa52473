"""The signs in entries of a vocabulary, each with the bytes next to it, as a table of hashes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from indexes.text.characters import ASCII_WORDS, SPACE, letters

Bytes = NDArray[np.uint8]
Places = NDArray[np.intp]
Keys = NDArray[np.uint64]
# Bytes of a word that are compared on each side of a sign.
REACH = 8
SLOTS_FOR_EACH = 16
_U = np.uint64
ONES, HIGH, SPACES = _U(0x0101010101010101), _U(0x8080808080808080), _U(0x2020202020202020)
BYTE = _U(8)


class Contexts:
    """Which signs of a text may belong to one of some entries, judged by their neighbors.

    None is missed, and few are found that belong to no entry. A sign next to a word is looked up
    with the last bytes of this word, another sign with the sign next to it. Case does not count,
    nor which letter beyond ASCII it is, nor which digit if `fold_digits`.
    """

    def __init__(self, names: Sequence[str], *, fold_digits: bool = False) -> None:
        self._fold_digits = fold_digits
        edge = " " * REACH
        blank = [name if name.isascii() else _shown(name) for name in names]
        raw = np.frombuffer(edge.join(["", *names, ""]).encode(), np.uint8)
        bare = edge.join(["", *blank, ""]).encode().translate(ASCII_WORDS)
        shown = np.frombuffer(bare, np.uint8)
        at = np.flatnonzero((raw != SPACE) > (shown != SPACE))
        size = max(1 << 10, 1 << (SLOTS_FOR_EACH * len(at)).bit_length())
        self._shift = _U(64 - (size.bit_length() - 1))
        self._near = _near(raw, at)
        self._keys = np.zeros(size, np.bool_)
        for slots in self._slots(raw, shown, at):
            self._keys[slots] = True
        # A sign between signs is judged by the one before it; the first of several by the next.
        first = raw[at - 1] == SPACE
        self._before = _present(_pairs(raw[at - 1], raw[at])[~first], 1 << 16)
        self._next = _present(_pairs(raw[at], raw[at + 1])[first], 1 << 16)

    def places(self, raw: Bytes, shown: Bytes) -> Places:
        """Return the places of signs that may belong to an entry, ascending."""
        at = np.flatnonzero((raw != SPACE) > (shown != SPACE))
        # The first and last bytes have no neighbors to judge by.
        low, high = np.searchsorted(at, (REACH, len(raw) - REACH))
        high = max(low, high)
        inner = at[low:high]
        inner = inner[self._near[_pairs(raw[inner], raw[inner + 1])]]
        if not len(inner):
            places = np.concatenate([at[:low], at[high:]])
            return _whole(raw, places[raw[places] > SPACE])
        alone = (shown[inner - 1] == SPACE) & (shown[inner + 1] == SPACE)
        first, second = self._slots(raw, shown, inner)
        found = self._keys[first]
        found[found] = self._keys[second[found]]
        if alone.any():
            some = inner[alone]
            found[alone] = self._before[_pairs(raw[some - 1], raw[some])]
            found[alone] |= self._next[_pairs(raw[some], raw[some + 1])]
        places = np.concatenate([at[:low], inner[found], at[high:]])
        return _whole(raw, places[raw[places] > SPACE])

    def _slots(self, raw: Bytes, shown: Bytes, at: Places) -> tuple[Keys, Keys]:
        # Unaligned: eight bytes from any place on.
        eight = np.ndarray((len(shown) - REACH + 1,), "<u8", shown, strides=(1,))
        before, after = _ended_below(eight[at - REACH]), _ended_above(eight[at + 1])
        if self._fold_digits:
            before, after = _folded(before), _folded(after)
        keys = before * _U(0x9E3779B97F4A7C15)
        keys ^= after * _U(0xC2B2AE3D27D4EB4F)
        keys ^= raw[at].astype(np.uint64) * _U(0x165667B19E3779F9)
        keys ^= keys >> _U(29)
        keys *= _U(0xBF58476D1CE4E5B9)
        return keys >> self._shift, keys << _U(32) >> self._shift


def _near(raw: Bytes, at: Places) -> NDArray[np.bool_]:
    """Return, for each pair of bytes, whether an entry may have it from a sign on, in any case.

    Behind the last sign of an entry, it is any sign or space.
    """
    following = np.zeros((256, 256), np.bool_)
    following[raw[at], raw[at + 1]] = True
    small = np.arange(ord("a"), ord("z") + 1)
    either = following[:, small] | following[:, small - 32]
    following[:, small] = following[:, small - 32] = either
    following[:, ord("0") : ord("9") + 1] |= following[:, [ord("#")]]
    following[:, 0x80:] = following[:, 0x80:].any(axis=1, keepdims=True)
    last = np.unique(raw[at[raw[at + 1] == SPACE]])
    separating = np.frombuffer(ASCII_WORDS, np.uint8) == SPACE
    separating[0x80:] = True
    following[last] |= separating
    return following.reshape(-1)


def _whole(raw: Bytes, places: Places) -> Places:
    """Leave out the bytes of characters that are not there with all of their bytes."""
    beyond = raw[places] >= 0x80
    if not beyond.any():
        return places
    starts = places[beyond]
    for _ in range(3):
        starts = starts - (raw[starts] & 0xC0 == 0x80)
    lead = raw[starts]
    sizes = 2 + (lead >= 0xE0).astype(np.intp) + (lead >= 0xF0)
    _, chars, counts = np.unique(starts, return_inverse=True, return_counts=True)
    kept = ~beyond
    kept[beyond] = counts[chars] == sizes
    return places[kept]


def _present(values: NDArray[np.integer], size: int) -> NDArray[np.bool_]:
    table = np.zeros(size, np.bool_)
    table[values] = True
    return table


def _pairs(first: Bytes, second: Bytes) -> NDArray[np.uint16]:
    pairs: NDArray[np.uint16] = first.astype(np.uint16) << np.uint16(8) | second
    return pairs


def _ended_below(words: Keys) -> Keys:
    """Clear, in 8 bytes before a sign, those before its word, and from a non-ASCII letter down."""
    stops = _stops(words)
    stops |= stops >> BYTE
    stops |= stops >> _U(16)
    stops |= stops >> _U(32)
    return _letters(words, stops)


def _ended_above(words: Keys) -> Keys:
    """Clear, in 8 bytes behind a sign, those behind its word, and from a non-ASCII letter on."""
    stops = _stops(words)
    stops |= stops << BYTE
    stops |= stops << _U(16)
    stops |= stops << _U(32)
    return _letters(words, stops)


def _stops(words: Keys) -> Keys:
    """Return the high bit of each byte that is a space or not ASCII."""
    # Of ASCII, only letters, digits and spaces occur: none but the space becomes 0 or below.
    blank = (words ^ SPACES) - ONES
    return (blank | words) & HIGH


def _letters(words: Keys, stops: Keys) -> Keys:
    return (words | SPACES) & ~((stops >> _U(7)) * _U(255))


def _folded(words: Keys) -> Keys:
    """Write 0 for every digit."""
    digits = (words >> _U(4)) & (words >> _U(5)) & ~(words >> _U(6)) & ONES
    zeros: Keys = words & ~(digits * _U(15))
    return zeros


def _shown(name: str) -> str:
    """Return a name with a space for each byte of a separator."""
    pairs = zip(name, name.translate(letters(lower=False)), strict=True)
    return "".join(s if s != " " else " " * len(c.encode()) for c, s in pairs)
