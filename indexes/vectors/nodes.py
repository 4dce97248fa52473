"""Nodes of a structure: passages with equal vectors share one.

Thousands of equal texts (an error page, a boilerplate answer) are each other's nearest neighbors: a
graph of one node per passage links them to one another alone, and no search leaves them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from indexes.neighbors import NO_KEY, Keys, Neighbors, best, is_among, nothing
from indexes.vectors.blocks import Block, live

NO_KEYS: Keys = np.empty(0, np.int64)
# At the end of a file in which nodes are shared, before the number of further keys.
MARK = b"\x89equals\n"
FOOTER_BYTES = len(MARK) + 8
# What the first numbers of a vector are multiplied by, to tell most vectors apart.
WEIGHTS = np.random.default_rng(0).integers(1, 2**63, 64, np.uint64) | np.uint64(1)
HASHED_ROWS = 16_384


@dataclass(frozen=True)
class Nodes:
    """The keys that each node of a structure stands for.

    `heads` (rows,) is the lowest key of each node, -1 for a node without one. `keys` (shared,) are
    all keys of the nodes that have several, by head and then by key; `places` is the node of each.
    """

    heads: Keys
    keys: Keys
    places: Keys

    @classmethod
    def of(cls, heads: Keys, further: Keys, owners: Keys) -> Nodes:
        """Return nodes by their lowest keys; each of the `further` keys shares its owner's node."""
        if not len(further):
            return cls(heads, NO_KEYS, NO_KEYS)
        order = np.argsort(heads, kind="stable")
        owned = np.unique(owners)
        keys, by = np.concatenate([owned, further]), np.concatenate([owned, owners])
        sorted_ = np.lexsort((keys, by))
        places = order[np.searchsorted(heads, by[sorted_], sorter=order)]
        return cls(heads, keys[sorted_], places)

    @cached_property
    def _owners(self) -> Keys:
        return self.heads[self.places]

    @property
    def further(self) -> tuple[Keys, Keys]:
        """The keys that are not their node's lowest, and the lowest of each one's node."""
        other = self.keys != self._owners
        return self.keys[other], self._owners[other]

    @property
    def all_keys(self) -> Keys:
        """Every key once, the lowest of each node first."""
        return np.concatenate([self.heads, self.further[0]]) if len(self.keys) else self.heads

    def without(self, hidden: Keys) -> Nodes:
        """Return the same nodes without some keys; a node is left as long as it has one key."""
        heads = np.where(np.isin(self.heads, hidden, assume_unique=True), NO_KEY, self.heads)
        if not len(self.keys):
            return Nodes(heads, NO_KEYS, NO_KEYS)
        kept = ~np.isin(self.keys, hidden, assume_unique=True)
        keys, places = self.keys[kept], self.places[kept]
        # By head and then by key: the first of each node is the lowest that is left.
        changed, first = np.unique(places, return_index=True)
        heads[changed] = keys[first]
        order = np.lexsort((keys, heads[places]))
        return Nodes(heads, keys[order], places[order])

    def expand(self, found: Neighbors, k: int) -> Neighbors:
        """Return the `k` best keys of some nodes, which are given by their heads, best first.

        Equal vectors have equal scores. Of a node at most its `k` lowest keys can be among them.
        """
        if not is_among(found.keys, self._owners).any():  # owners ascend
            return Neighbors(found.keys[:, :k], found.scores[:, :k])
        rows = [self._expanded(keys, scores, k) for keys, scores in found.lists()]
        out = nothing(len(rows), max(len(keys) for keys, _ in rows))
        for row, (keys, scores) in enumerate(rows):
            out.keys[row, : len(keys)], out.scores[row, : len(keys)] = keys, scores
        return best(out.keys, out.scores, k)

    def _expanded(
        self, heads: list[int], scores: list[float], k: int
    ) -> tuple[list[int], list[float]]:
        """Return the keys of nodes, best first, until `k` are better than the next node's."""
        keys, values, last = list[int](), list[float](), np.inf
        for head, score in zip(heads, scores, strict=True):
            if len(keys) >= k and score < last:
                break
            first, stop = np.searchsorted(self._owners, [head, head + 1])
            own = self.keys[first : min(stop, first + k)].tolist() or [head]
            keys += own
            values += [score] * len(own)
            last = score
        return keys, values


def duplicates(blocks: Sequence[Block], deleted: Keys) -> tuple[Keys, Keys]:
    """Return the live keys (ascending) whose vector a lower key has, to the bit; and those keys.

    Vectors are compared by 64 bits of a hash: two of a million different ones are taken for equal
    once in 10^7 collections, and then still have their own exact scores. Only rows whose first
    numbers have a sum that occurs twice are hashed: most are not, whatever their number.
    """
    sums = np.concatenate([NO_KEYS, *map(_sums, blocks)])
    several = _repeated(sums)
    found, hashes, start = [NO_KEYS], [NO_KEYS], 0
    for block in blocks:
        rows = np.flatnonzero(is_among(sums[start : start + len(block.keys)], several))
        start += len(block.keys)
        for place in range(0, len(rows), HASHED_ROWS):
            some = live(block.part(rows[place : place + HASHED_ROWS]), deleted)
            found.append(some.keys)
            hashes.append(np.array([hash(row.tobytes()) for row in some.vectors], np.int64))
    return _owned(np.concatenate(found), np.concatenate(hashes))


def _owned(keys: Keys, hashes: Keys) -> tuple[Keys, Keys]:
    """Return the keys (ascending) whose hash a lower key has, and the lowest such key of each."""
    order = np.lexsort((keys, hashes))
    keys, hashes = keys[order], hashes[order]
    starts = np.ones(len(keys), np.bool_)
    starts[1:] = hashes[1:] != hashes[:-1]
    owners = keys[np.flatnonzero(starts)][np.cumsum(starts) - 1] if len(keys) else keys
    further, owners = keys[~starts], owners[~starts]
    order = np.argsort(further)
    return further[order], owners[order]


def _sums(block: Block) -> Keys:
    """Return a weighted sum of the first numbers of each vector, read as integers, (rows,)."""
    vectors = np.asarray(block.vectors)
    integer = np.dtype(f"u{vectors.itemsize}")
    sums = np.empty(len(vectors), np.uint64)
    for start in range(0, len(vectors), HASHED_ROWS):
        part = slice(start, start + HASHED_ROWS)
        numbers = np.ascontiguousarray(vectors[part, : len(WEIGHTS)]).view(integer)
        sums[part] = numbers.astype(np.uint64) @ WEIGHTS[: numbers.shape[1]]
    return sums.view(np.int64)


def _repeated(sums: Keys) -> Keys:
    """Return the values that occur more than once, ascending."""
    ordered = np.sort(sums)
    return np.unique(ordered[1:][ordered[1:] == ordered[:-1]])


def pack_further(keys: Keys, owners: Keys) -> bytes:
    """Return what follows a structure in its file: the keys that share a node with a lower one.

    Nothing where all vectors differ, as in files written before nodes were shared.
    """
    if not len(keys):
        return b""
    pairs = np.stack([keys, owners]).astype("<i8")
    return pairs.tobytes() + MARK + len(keys).to_bytes(8, "little")


def read_further(path: Path) -> tuple[Keys, Keys]:
    """Return what `pack_further` put at the end of a file, whose checksum was verified."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - FOOTER_BYTES))
        mark, count = file.read(len(MARK)), int.from_bytes(file.read(8), "little")
        if mark != MARK:
            return NO_KEYS, NO_KEYS
        file.seek(size - FOOTER_BYTES - 16 * count)
        pairs = np.frombuffer(file.read(16 * count), "<i8").astype(np.int64)
    keys, owners = pairs.reshape(2, count)
    return keys, owners
