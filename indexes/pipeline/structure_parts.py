"""Structures that workers fill: trained here once, then each adds the vectors of some shards.

Workers read the shards in the collection's folder, and send back codes, a small part of that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from indexes.catalog.records import EmbeddingRow, ShardRow
from indexes.errors import MismatchError
from indexes.neighbors import Keys
from indexes.pipeline.calls import mapped
from indexes.pipeline.executors.base import Executor
from indexes.vectors.blocks import Block, rows_of
from indexes.vectors.engine import Fill
from indexes.vectors.engines import FAISS
from indexes.vectors.shards import open_shard

# Fewer numbers (rows times width) are added here. FAISS adds 10 to 25 million a second with a core
# (benchmarks/README.md), so one with eight needs some seconds, as a cluster's workers to start.
LEAST_NUMBERS = 1_000_000_000
# Rows of a part. Each part comes with a copy of what was trained, so there are not too many.
PART_ROWS, MOST_PARTS = 1 << 17, 256


@dataclass(frozen=True)
class Piece:
    """Some rows of a shard."""

    shard: ShardRow
    start: int
    stop: int


# Shards with rows, and their vectors.
Shards = Sequence[tuple[ShardRow, Block]]
# Pieces of shards, and the keys among theirs that are left out.
Part = tuple[Sequence[Piece], Keys]


@dataclass(frozen=True)
class PartLoader:
    """What a worker needs once to fill parts of a structure, which was trained by a `version`."""

    folder: Path
    embedding: EmbeddingRow
    trained: bytes
    version: str

    def __call__(self) -> _Filling:
        """Check that the worker has the same engine.

        Raises:
            MismatchError: it has another version.
        """
        if FAISS.version != self.version:
            raise MismatchError(
                f"A worker has {FAISS.version}, and the structure was trained by {self.version}. "
                "Install the same version on all machines."
            )
        return _Filling(self)


@dataclass(frozen=True)
class _Filling:
    known: PartLoader

    def __call__(self, part: Part) -> bytes:
        """Return a part of the structure as bytes."""
        pieces, deleted = part
        return FAISS.part(self.known.trained, map(self._block, pieces), deleted)

    def _block(self, piece: Piece) -> Block:
        block = open_shard(piece.shard, self.known.embedding, self.known.folder)
        return block.part(slice(piece.start, piece.stop))


def filler(
    executor: Executor | None, name: str, embedding: EmbeddingRow, folder: Path, shards: Shards
) -> Fill | None:
    """Return what fills a structure by workers; None where it would not pay.

    On this machine it does not: FAISS adds with all cores, and faster than processes of one each.
    """
    rows = sum(len(block.keys) for _, block in shards)
    if executor is None or not executor.is_elsewhere or rows * embedding.dim < LEAST_NUMBERS:
        return None
    return partial(_filled, executor, name, embedding, folder, shards)


def _filled(
    executor: Executor,
    name: str,
    embedding: EmbeddingRow,
    folder: Path,
    shards: Shards,
    trained: bytes,
    deleted: Keys,
) -> Iterator[bytes]:
    rows = sum(len(block.keys) for _, block in shards)
    size = max(PART_ROWS, -(-rows // MOST_PARTS))
    parts = list(_parts(shards, size, FAISS.rows_at_once(embedding.dim), deleted))
    load = PartLoader(folder, embedding, trained, FAISS.version)
    what = f"the structure of '{name}'"
    yield from mapped(executor, load, iter(parts), what=what, most=len(parts))


def _parts(shards: Shards, rows: int, step: int, deleted: Keys) -> Iterator[Part]:
    """Yield all rows of some shards in parts of about so many, each cut at multiples of `step`."""
    pieces, hidden, size = list[Piece](), list[Keys](), 0
    whole_steps = max(step, rows // step * step)
    for shard, block in shards:
        for start in range(0, len(block.keys), whole_steps):
            stop = min(start + whole_steps, len(block.keys))
            keys = block.keys[start:stop]
            pieces.append(Piece(shard, start, stop))
            hidden.append(keys[rows_of(deleted, keys)])
            size += len(keys)
            if size >= rows:
                yield pieces, np.concatenate(hidden)
                pieces, hidden, size = [], [], 0
    if pieces:
        yield pieces, np.concatenate(hidden)
