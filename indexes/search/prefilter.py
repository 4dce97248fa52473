"""Prefilters: the passages that a search may find, all live ones or those that pass a filter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from indexes.catalog.filters.conditions import Filter
from indexes.neighbors import Keys, is_among
from indexes.vectors.blocks import Block, count_live, rows_of
from indexes.vectors.engine import Mask, VectorIndex
from indexes.vectors.nodes import NO_KEYS

# If a filter leaves fewer rows than this, or a smaller share, brute force over these rows, copied,
# is faster than any search through the others, as long as they stay small.
FEW_ROWS = 1_000
COPIED_SHARE = 0.25
COPIED_BYTES = 16 << 20


# More keys than this are held as bits.
PACKED_KEYS = 1_000_000


@dataclass(frozen=True)
class KeySet:
    """Some keys. Of very many, `bits` has one for each key from `first` on, packed in bytes."""

    count: int
    first: int
    few: Keys | None
    bits: NDArray[np.uint8]

    @classmethod
    def of(cls, keys: Keys) -> KeySet:
        """Return a set of some keys, ascending."""
        if len(keys) <= PACKED_KEYS or not len(keys):
            return cls(len(keys), 0, keys, np.empty(0, np.uint8))
        first = int(keys[0])
        marked = np.zeros(int(keys[-1]) - first + 1, np.bool_)
        marked[keys - first] = True
        return cls(len(keys), first, None, np.packbits(marked, bitorder="little"))

    @property
    def keys(self) -> Keys:
        """The keys, ascending."""
        if self.few is not None:
            return self.few
        return np.flatnonzero(np.unpackbits(self.bits, bitorder="little")) + self.first

    def has(self, keys: Keys) -> NDArray[np.bool_]:
        """Return which of some keys (any shape) are among these."""
        if self.few is not None:
            return is_among(keys, self.few)
        places = keys - self.first
        inside = (places >= 0) & (places < 8 * len(self.bits))
        places = np.where(inside, places, 0)
        there: NDArray[np.bool_] = (self.bits[places >> 3] >> (places & 7) & 1).astype(np.bool_)
        return inside & there

    @property
    def size(self) -> int:
        """Bytes of memory."""
        return self.bits.nbytes if self.few is None else self.few.nbytes


@dataclass(eq=False)
class AllowList:
    """The keys that pass a filter; `name` identifies the filter and the generation.

    They are found when they are first needed, inside a transaction at the generation `content` of
    the documents: an engine that evaluates the filter `where` itself needs none.
    """

    name: str
    find: Callable[[], KeySet]
    where: Filter | None = None
    content: int = -1
    # Whether it was used before, also by an engine, without its keys.
    was_used: bool = False
    _found: KeySet | None = None

    @property
    def allowed(self) -> KeySet:
        """The keys, as a set."""
        if self._found is None:
            self._found, self.was_used = self.find(), True
        return self._found

    @property
    def size(self) -> int:
        """Bytes of memory."""
        return 0 if self._found is None else self._found.size

    @property
    def keys(self) -> Keys:
        """The keys, ascending."""
        return self.allowed.keys


@dataclass(frozen=True)
class Prefilter:
    """The `rows` passages that a search of one searcher may find.

    Either `few` are their vectors, copied, or `shown` are their keys. Without a filter both are
    None, and all are found but the `deleted` keys (ascending).
    """

    rows: int
    few: Sequence[Block] | None
    deleted: Keys
    shown: KeySet | None = None
    _masks: list[Mask | None] = field(default_factory=list)

    def hides(self, keys: Keys) -> NDArray[np.bool_]:
        """Return which of some keys (any shape) of the searcher may not be found."""
        return is_among(keys, self.deleted) if self.shown is None else ~self.shown.has(keys)

    def hidden(self, blocks: Sequence[Block]) -> Keys:
        """Return the keys of some blocks that may not be found, ascending, and maybe others."""
        if self.shown is None:
            return self.deleted
        return np.concatenate([block.keys[self.hides(block.keys)] for block in blocks])

    def mask(self, structure: VectorIndex, blocks: Sequence[Block]) -> Mask | None:
        """Return the mask that hides keys in the structure over some blocks; made when needed."""
        if not self._masks:
            self._masks.append(structure.mask(self.hidden(blocks)))
        return self._masks[0]

    @property
    def size(self) -> int:
        """Bytes of memory: copied rows with their keys, shown and deleted keys, the mask."""
        copied = sum(block.keys.nbytes + block.vectors.nbytes for block in self.few or ())
        masks = sum(mask.size for mask in self._masks if mask)
        return copied + self.deleted.nbytes + (self.shown.size if self.shown else 0) + masks


def prefilter_of(blocks: Sequence[Block], deleted: Keys, allowed: AllowList | None) -> Prefilter:
    """Return the prefilter of a search over `blocks`, without `deleted` keys."""
    if allowed is None:
        return Prefilter(count_live(blocks, deleted), None, deleted)
    # Of the keys of a filter, only those of earlier texts can be hidden.
    keys = allowed.keys
    wanted = np.delete(keys, rows_of(deleted, keys)) if len(deleted) else keys
    rows = [rows_of(wanted, block.keys) for block in blocks]
    count, total = sum(map(len, rows)), sum(len(block.keys) for block in blocks)
    if _is_few(count, total, blocks):
        pairs = zip(blocks, rows, strict=True)
        few = [block.part(some) for block, some in pairs if len(some)]
        return Prefilter(count, few, NO_KEYS)
    shown = allowed.allowed if wanted is keys else KeySet.of(wanted)
    return Prefilter(count, None, NO_KEYS, shown)


def _is_few(count: int, total: int, blocks: Sequence[Block]) -> bool:
    if count == 0:
        return True
    size = count * blocks[0].vectors.shape[1] * blocks[0].vectors.itemsize
    return size <= COPIED_BYTES and count <= max(FEW_ROWS, COPIED_SHARE * total)
