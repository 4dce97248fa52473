"""Parts of a FAISS index: copies of a trained one to which others add rows, merged in their order.

FAISS appends the codes of one index to those of another (`merge_from`), so that a merged index has
the same codes in the same places as one that all rows were added to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import faiss
import numpy as np

from indexes.neighbors import Keys, Matrix
from indexes.vectors.blocks import Block, live
from indexes.vectors.faiss_engine.search_params import layers

# Single-precision vectors that are handed to FAISS at once.
ADDED_BYTES = 16 << 20
# Rows of the first of two parts that are tried: no multiple of what fast scan packs together.
FIRST_ROWS = 27


def rows_at_once(dim: int) -> int:
    """Return how many rows of a block are added at once: of a part, begin at a multiple of it."""
    return max(1, ADDED_BYTES // (4 * dim))


def slices(block: Block, deleted: Keys) -> Iterator[tuple[Keys, Matrix]]:
    """Yield the live rows of a block and their keys, a slice at a time, in single precision."""
    step = rows_at_once(block.vectors.shape[1])
    for start in range(0, len(block.keys), step):
        some = live(block.part(slice(start, start + step)), deleted)
        # No row at all, added to an empty index of codes for fast scan, crashes FAISS.
        if len(some.keys):
            yield some.keys, np.ascontiguousarray(some.vectors, np.float32)


def copied(index: Any) -> Any:
    """Return an index as it would be read from its file."""
    return faiss.deserialize_index(faiss.serialize_index(index))


def filled(trained: bytes, blocks: Iterable[Block], deleted: Keys) -> bytes:
    """Return a trained index, given by its bytes, with the live rows of some blocks."""
    index = faiss.deserialize_index(np.frombuffer(trained, np.uint8))
    for block in blocks:
        for _, vectors in slices(block, deleted):
            index.add(vectors)
    return packed(index)


def packed(index: Any) -> bytes:
    """Return an index as bytes."""
    data: bytes = faiss.serialize_index(index).tobytes()
    return data


def merge(index: Any, part: bytes) -> None:
    """Append the rows of a part to an index; raise a RuntimeError if its kind has no parts."""
    other = faiss.deserialize_index(np.frombuffer(part, np.uint8))
    if not other.ntotal:
        return
    # An inverted file has the number of each row next to its code.
    numbered = isinstance(layers(index)[-1], faiss.IndexIVF)
    index.merge_from(other, int(index.ntotal) if numbered else 0)


def clear_padding(index: Any) -> None:
    """Set the places in the last block of codes for fast scan that no row has to zero.

    Merged, they have what was in memory: nothing finds that, but the bytes would differ.
    """
    last = layers(index)[-1]
    if isinstance(last, faiss.IndexIVFFastScan):
        lists = faiss.downcast_InvertedLists(last.invlists)
        sizes = [lists.list_size(number) for number in range(lists.nlist)]
        for number, size in enumerate(sizes):
            if size % lists.n_per_block:
                _clear(lists.packer, lists.get_codes(number), size)
    elif isinstance(last, faiss.IndexFastScan) and last.ntotal % last.bbs:
        _clear(last.get_CodePacker(), last.codes.get(), int(last.ntotal))


def _clear(packer: Any, codes: Any, rows: int) -> None:
    count, zeros = -(-rows // packer.nvec), np.zeros(packer.code_size, np.uint8)
    blocks = faiss.rev_swig_ptr(codes, count * packer.block_size).reshape(count, -1)
    for place in range(rows % packer.nvec, packer.nvec):
        packer.pack_1(zeros, place, blocks[-1:])


def divides(trained: Any, sample: Matrix) -> bool:
    """Return whether merged parts of an index are, to the last byte, one that all was added to.

    It is tried with some rows: graphs have no parts, and other kinds may lose theirs in some
    version of FAISS.
    """
    whole, merged, part = (copied(trained) for _ in range(3))
    whole.add(sample[:FIRST_ROWS])
    whole.add(sample[FIRST_ROWS:])
    merged.add(sample[:FIRST_ROWS])
    part.add(sample[FIRST_ROWS:])
    try:
        merge(merged, packed(part))
    except RuntimeError:
        return False
    clear_padding(merged)
    return packed(merged) == packed(whole)
