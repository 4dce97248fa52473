"""Prefilters: the passages that a search may find, all live ones or those that pass a filter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from indexes.neighbors import Keys
from indexes.vectors.blocks import Block, count_live, rows_of
from indexes.vectors.engine import Mask, VectorIndex

# If a filter leaves fewer rows than this, or a smaller share, brute force over these rows, copied,
# is faster than any search through the others, as long as they stay small.
FEW_ROWS = 1_000
COPIED_SHARE = 0.25
COPIED_BYTES = 16 << 20


@dataclass(frozen=True)
class AllowList:
    """The keys that pass a filter, ascending; `name` identifies the filter and the generation."""

    name: str
    keys: Keys


@dataclass(frozen=True)
class Prefilter:
    """The `rows` passages that a search of one searcher may find.

    Either `few` are their vectors, copied, or `hidden` are all other keys of the searcher
    (ascending) and `mask` hides these in its index, if it has any of them.
    """

    rows: int
    few: Sequence[Block] | None
    hidden: Keys
    mask: Mask | None

    @property
    def size(self) -> int:
        """Bytes of memory: copied rows with their keys, hidden keys, the mask."""
        copied = sum(block.keys.nbytes + block.vectors.nbytes for block in self.few or ())
        return copied + self.hidden.nbytes + (self.mask.size if self.mask else 0)


def prefilter_of(
    blocks: Sequence[Block], deleted: Keys, allowed: AllowList | None, structure: VectorIndex | None
) -> Prefilter:
    """Return the prefilter of a search over `blocks`, without `deleted` keys."""
    if allowed is None:
        mask = structure.mask(deleted) if structure else None
        return Prefilter(count_live(blocks, deleted), None, deleted, mask)
    # Of the keys of a filter, only those of earlier texts can be hidden.
    wanted = np.delete(allowed.keys, rows_of(deleted, allowed.keys))
    rows = [rows_of(wanted, block.keys) for block in blocks]
    count, total = sum(map(len, rows)), sum(len(block.keys) for block in blocks)
    if _is_few(count, total, blocks):
        pairs = zip(blocks, rows, strict=True)
        few = [block.part(some) for block, some in pairs if len(some)]
        return Prefilter(count, few, np.empty(0, np.int64), None)
    hidden = np.concatenate(
        [np.delete(block.keys, some) for block, some in zip(blocks, rows, strict=True)]
    )
    return Prefilter(count, None, hidden, structure.mask(hidden) if structure else None)


def _is_few(count: int, total: int, blocks: Sequence[Block]) -> bool:
    if count == 0:
        return True
    size = count * blocks[0].vectors.shape[1] * blocks[0].vectors.itemsize
    return size <= COPIED_BYTES and count <= max(FEW_ROWS, COPIED_SHARE * total)
