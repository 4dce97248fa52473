"""Detection of phrases: vocabulary entries such as `New_York`.

The longest phrase at a word wins, from left to right; phrases do not overlap or cross texts. A
phrase is written as its words joined by `_`, as in Mikolov et al. 2013, "Distributed
Representations of Words and Phrases and their Compositionality".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

JOINT = "_"

Integers = NDArray[np.int64]


class Phrases:
    """Phrases of a vocabulary, by their words.

    A prefix of k words is identified by its position in the sorted keys of level k; its key
    combines the prefix of k - 1 words with the last word.
    """

    def __init__(self, words: Sequence[str]) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        array = pa.array(words, pa.large_string())
        rows = np.flatnonzero(pc.match_substring(array, JOINT).to_numpy(zero_copy_only=False))
        lists = pc.split_pattern(array.take(pa.array(rows)), JOINT)
        encoded = lists.flatten().dictionary_encode()
        names, parts = encoded.dictionary.to_pylist(), encoded.indices.to_numpy().astype(np.int64)
        lengths = np.diff(lists.offsets.to_numpy()).astype(np.int64)
        # `__`, `_a` and `a__b` are not words joined by `_`.
        empty = names.index("") if "" in names else -1
        owners = np.repeat(np.arange(len(rows)), lengths)
        complete = np.bincount(owners[parts == empty], minlength=len(rows)) == 0
        parts, rows, lengths = parts[complete[owners]], rows[complete], lengths[complete]
        self._count, self.longest = len(rows), int(lengths.max(initial=0))
        self.parts = dict(zip(names, range(len(names)), strict=True))
        firsts = np.cumsum(lengths) - lengths
        reach = np.ones(len(names), np.int64)
        np.maximum.at(reach, parts[firsts], lengths)
        self._reach = reach.tolist()
        self._levels = self._build_levels(parts, firsts, lengths, rows)

    def __len__(self) -> int:
        return self._count

    def _build_levels(
        self, parts: Integers, firsts: Integers, lengths: Integers, rows: Integers
    ) -> list[tuple[Integers, Integers]]:
        """Return, for each prefix length from 2, sorted keys, and complete phrases' rows or -1."""
        beginnings, levels = parts[firsts], []
        for size in range(2, self.longest + 1):
            kept = lengths >= size
            lengths, rows, firsts = lengths[kept], rows[kept], firsts[kept]
            keys = self._keys(beginnings[kept], parts[firsts + size - 1])
            distinct, beginnings = np.unique(keys, return_inverse=True)
            ends = np.full(len(distinct), -1, np.int64)
            ends[beginnings[lengths == size]] = rows[lengths == size]
            levels.append((distinct, ends))
        return levels

    def _keys(self, beginnings: Integers, parts: Integers) -> Integers:
        return beginnings * np.int64(len(self.parts)) + parts

    def reach(self, word: str) -> int:
        """Return the length in words of the longest phrase that begins with a word; 1 for none."""
        part = self.parts.get(word)
        return 1 if part is None else int(self._reach[part])

    def numbers(self, words: Sequence[str]) -> Integers:
        """Return the number of each word among the parts of phrases, -1 for none."""
        get = self.parts.get
        return np.fromiter((get(word, -1) for word in words), np.int64, len(words))

    def longest_at(self, parts: Integers, ends: Integers) -> tuple[Integers, Integers]:
        """Return the longest phrase at each word: its length (at least 1), and its row or -1.

        `parts` are the numbers of the words of all texts, `ends` the end of each word's text.
        """
        lengths, rows = np.ones(len(parts), np.int64), np.full(len(parts), -1, np.int64)
        at = np.flatnonzero(parts >= 0)
        beginnings = parts[at]
        for size, (level_keys, level_rows) in enumerate(self._levels, start=2):
            last = at + size - 1
            inside = last < ends[at]
            at, beginnings, last = at[inside], beginnings[inside], last[inside]
            known = parts[last] >= 0
            at, keys = at[known], self._keys(beginnings[known], parts[last[known]])
            places = np.minimum(np.searchsorted(level_keys, keys), len(level_keys) - 1)
            found = level_keys[places] == keys
            at, beginnings = at[found], places[found]
            complete = level_rows[beginnings] >= 0
            lengths[at[complete]], rows[at[complete]] = size, level_rows[beginnings[complete]]
        return lengths, rows


def unit_starts(lengths: Integers) -> NDArray[np.bool_]:
    """Return whether each word begins a unit, taking the phrases from left to right.

    `lengths` are those of the longest phrases at each word, within its text. A word that no earlier
    phrase reaches begins a unit; the others follow from these by pointer doubling, in a number of
    steps logarithmic in the longest stretch of overlapping phrases.
    """
    count = len(lengths)
    if not count:
        return np.zeros(0, np.bool_)
    # An extra position behind the last word, which points to itself.
    jumps = np.append(np.arange(count) + lengths, count)
    reached = np.ones(count + 1, np.bool_)
    reached[1:] = np.maximum.accumulate(jumps[:-1]) <= np.arange(1, count + 1)
    steps = int(np.diff(np.flatnonzero(reached)).max(initial=1))
    while steps > 1:
        reached[jumps[np.flatnonzero(reached)]] = True
        jumps = jumps[jumps]
        steps = (steps + 1) // 2
    return reached[:-1]
