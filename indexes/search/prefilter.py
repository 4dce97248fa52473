"""What a search may find: everything that is there, or what a filter lets through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from indexes.ann import AnnIndex, Mask
from indexes.neighbors import Keys
from indexes.vectors.blocks import Block, count_live, rows_of

# Where a filter leaves fewer rows than this, or a smaller share, brute force over just those rows
# is faster than a walk through a structure most of which is hidden.
FEW_ROWS = 1_000
FEW_SHARE = 0.05
# Without a structure it is always faster, as long as the copied rows stay small.
COPIED_SHARE = 0.25
COPIED_BYTES = 16 << 20


@dataclass(frozen=True)
class AllowList:
    """The keys that a filter lets through, ascending; `name` tells the filter and its time."""

    name: str
    keys: Keys


@dataclass(frozen=True)
class Prefilter:
    """What a search of one view may find.

    `rows` counts it. Either `few` are its rows, copied together, or `hidden` are the keys of the
    view that are none of it (ascending) and `mask` hides them in the structure, if it has them.
    """

    rows: int
    few: Sequence[Block] | None
    hidden: Keys
    mask: Mask | None

    @property
    def size(self) -> int:
        """How many bytes it takes: copied rows with their keys, hidden keys, a mask."""
        copied = sum(block.keys.nbytes + block.vectors.nbytes for block in self.few or ())
        return copied + self.hidden.nbytes + (self.mask.visible.nbytes if self.mask else 0)


def prefilter_of(
    blocks: Sequence[Block], deleted: Keys, allowed: AllowList | None, structure: AnnIndex | None
) -> Prefilter:
    """The scope of a search over `blocks`, without the keys in `dead`."""
    if allowed is None:
        mask = structure.mask(deleted) if structure else None
        return Prefilter(count_live(blocks, deleted), None, deleted, mask)
    # The keys of a filter are those of documents that are there: none of them is dead.
    rows = [rows_of(allowed.keys, block.keys) for block in blocks]
    count, total = sum(map(len, rows)), sum(len(block.keys) for block in blocks)
    if _is_few(count, total, blocks, structure):
        few = [
            Block(block.keys[some], np.asarray(block.vectors[some]))
            for block, some in zip(blocks, rows, strict=True)
            if len(some)
        ]
        return Prefilter(count, few, np.empty(0, np.int64), None)
    hidden = np.concatenate(
        [np.delete(block.keys, some) for block, some in zip(blocks, rows, strict=True)]
    )
    return Prefilter(count, None, hidden, structure.mask(hidden) if structure else None)


def _is_few(count: int, total: int, blocks: Sequence[Block], structure: AnnIndex | None) -> bool:
    if count == 0:
        return True
    size = count * blocks[0].vectors.shape[1] * blocks[0].vectors.itemsize
    if size > COPIED_BYTES:
        return False
    share = COPIED_SHARE if structure is None else FEW_SHARE
    return count <= max(FEW_ROWS, share * total)
