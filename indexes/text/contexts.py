"""The signs in entries of a vocabulary, each with the bytes next to it, as a table of hashes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from indexes.text.characters import ASCII_WORDS, SPACE, letters

Bytes = NDArray[np.uint8]
Places = NDArray[np.intp]
Keys = NDArray[np.uint64]
Tables = Mapping[str, NDArray[np.bool_]]
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
    nor which letter beyond ASCII it is, nor which digit if `fold_digits`. `tables` are `tables_of`
    the entries.
    """

    def __init__(self, tables: Tables, *, fold_digits: bool = False) -> None:
        self._fold_digits = fold_digits
        self._near, self._keys = tables["near"], tables["keys"]
        self._before, self._next = tables["before"], tables["next"]
        self._shift = _U(64 - (len(self._keys).bit_length() - 1))

    @classmethod
    def tables_of(cls, names: Sequence[str], *, fold_digits: bool = False) -> Tables:
        """Return the tables of some entries, which take long to make."""
        edge = " " * REACH
        blank = [name if name.isascii() else _shown(name) for name in names]
        raw = np.frombuffer(edge.join(["", *names, ""]).encode(), np.uint8)
        bare = edge.join(["", *blank, ""]).encode().translate(ASCII_WORDS)
        shown = np.frombuffer(bare, np.uint8)
        at = _signs(raw, shown != SPACE)
        size = max(1 << 10, 1 << (SLOTS_FOR_EACH * len(at)).bit_length())
        # A sign between signs is judged by the one before it; the first of several by the next.
        first, pairs = raw[at - 1] == SPACE, _pairs(raw)
        tables = {
            "near": _near(raw, at, fold_digits),
            "keys": np.zeros(size, np.bool_),
            "before": _present(pairs[at[~first] - 1], 1 << 16),
            "next": _present(pairs[at[first]], 1 << 16),
        }
        for slots in cls(tables, fold_digits=fold_digits)._slots(raw, shown, at):
            tables["keys"][slots] = True
        return tables

    def places(self, raw: Bytes, shown: Bytes, inside: NDArray[np.bool_]) -> Places:
        """Return the places of signs that may belong to an entry, in any order.

        `raw` is the UTF-8 of texts, with `REACH` spaces before and behind them; in `shown`, every
        separator is a space, and `inside` says where there is none.
        """
        at = _signs(raw, inside)
        pairs = _pairs(raw)
        at = at[self._near[pairs[at]]]
        touching = inside[at - 1] | inside[at + 1]
        alone, at = at[~touching], at[touching]
        fits = self._before[pairs[alone - 1]] | self._next[pairs[alone]]
        first, *others = self._slots(raw, shown, at)
        found = self._keys[first]
        for slots in others:
            found &= self._keys[slots]
        return _whole(raw, np.concatenate([alone[fits], at[found]]))

    def _slots(self, raw: Bytes, shown: Bytes, at: Places) -> tuple[Keys, ...]:
        # Unaligned: eight bytes from any place on.
        eight = np.ndarray((len(shown) - REACH + 1,), "<u8", shown, strides=(1,))
        # Those behind a sign in reverse, so that those next to it are the high bytes of both.
        words = _ended(np.stack([eight[at - REACH], eight[at + 1].byteswap()]))
        if self._fold_digits:
            words = _folded(words)
        before, after = words
        keys = before * _U(0x9E3779B97F4A7C15)
        keys ^= after * _U(0xC2B2AE3D27D4EB4F)
        keys ^= raw[at].astype(np.uint64) * _U(0x165667B19E3779F9)
        keys ^= keys >> _U(29)
        keys *= _U(0xBF58476D1CE4E5B9)
        return tuple(keys << _U(bits) >> self._shift for bits in (0, 20, 40))


def _signs(raw: Bytes, inside: NDArray[np.bool_]) -> Places:
    """Return where there is no space in `raw`, and one elsewhere; few of many bytes."""
    signs = np.zeros(-(-len(raw) // 8) * 8, np.bool_)
    np.greater(raw != SPACE, inside, out=signs[: len(raw)])
    eights = signs.view(np.uint64)
    some = np.flatnonzero(eights != 0)
    within = np.flatnonzero(eights[some].view(np.bool_))
    places: Places = some[within >> 3] * 8 + (within & 7)
    return places


def _near(raw: Bytes, at: Places, fold_digits: bool) -> NDArray[np.bool_]:
    """Return, for each pair of bytes, whether an entry may have it from a sign on, in any case.

    Behind the last sign of an entry, it is any sign or space.
    """
    following = np.zeros((256, 256), np.bool_)
    following[raw[at], raw[at + 1]] = True
    small = np.arange(ord("a"), ord("z") + 1)
    either = following[:, small] | following[:, small - 32]
    following[:, small] = following[:, small - 32] = either
    if fold_digits:
        digits = np.arange(ord("0"), ord("9") + 1)
        either = following[:, digits].any(axis=1) | following[:, ord("#")]
        following[:, digits] = either[:, None]
    following[:, 0x80:] = following[:, 0x80:].any(axis=1, keepdims=True)
    last = np.unique(raw[at[raw[at + 1] == SPACE]])
    separating = np.frombuffer(ASCII_WORDS, np.uint8) == SPACE
    separating[0x80:] = True
    following[last] |= separating
    return following.T.reshape(-1)


def _whole(raw: Bytes, places: Places) -> Places:
    """Leave out the bytes of characters that are not there with all of their bytes."""
    values = raw[places]
    if not (values >= 0x80).any():
        return places
    there = np.zeros(len(raw), np.bool_)
    there[places] = True
    leads = places[values >= 0xC0]
    sizes = 2 + (raw[leads] >= 0xE0).astype(np.intp) + (raw[leads] >= 0xF0)
    kept = [places[values < 0x80]]
    for size in (2, 3, 4):
        each = leads[sizes == size, None] + np.arange(size)
        kept.append(each[there[each].all(axis=1)].reshape(-1))
    return np.concatenate(kept)


def _present(values: NDArray[np.integer], size: int) -> NDArray[np.bool_]:
    table = np.zeros(size, np.bool_)
    table[values] = True
    return table


def _pairs(raw: Bytes) -> NDArray[np.uint16]:
    """Return the pair of bytes from any place on, the first one in the lower half."""
    return np.ndarray((len(raw) - 1,), "<u2", raw, strides=(1,))


def _ended(words: Keys) -> Keys:
    """Clear, in 8 bytes before a sign, those before its word, and from a non-ASCII letter down."""
    stops = _stops(words)
    stops |= stops >> BYTE
    stops |= stops >> _U(16)
    stops |= stops >> _U(32)
    return (words | SPACES) & ~((stops >> _U(7)) * _U(255))


def _stops(words: Keys) -> Keys:
    """Return the high bit of each byte that is a space or not ASCII."""
    # Of ASCII, only letters, digits and spaces occur: none but the space becomes 0 or below.
    blank = (words ^ SPACES) - ONES
    return (blank | words) & HIGH


def _folded(words: Keys) -> Keys:
    """Write 0 for every digit."""
    digits = (words >> _U(4)) & (words >> _U(5)) & ~(words >> _U(6)) & ONES
    zeros: Keys = words & ~(digits * _U(15))
    return zeros


def _shown(name: str) -> str:
    """Return a name with a space for each byte of a separator."""
    pairs = zip(name, name.translate(letters(lower=False)), strict=True)
    return "".join(s if s != " " else " " * len(c.encode()) for c, s in pairs)
