"""FAISS indexes from factory strings such as `HNSW32`: checked, trained and filled."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import faiss
import numpy as np

from indexes.errors import InputError, WorkerError, pluralize, short_repr
from indexes.neighbors import COSINE, DOT, EUCLIDEAN, Keys, Matrix
from indexes.vectors.blocks import Block, count_live, live, live_keys
from indexes.vectors.engine import Fill
from indexes.vectors.faiss_engine.index import FaissIndex, reason
from indexes.vectors.faiss_engine.parts import (
    clear_padding,
    copied,
    divides,
    merge,
    packed,
    slices,
)
from indexes.vectors.faiss_engine.search_params import (
    DEFAULTS,
    SearchParameters,
    faiss_parameters,
    layers,
)
from indexes.vectors.nodes import NO_KEYS, duplicates

# The cosine of unit vectors is their inner product.
METRICS = {
    COSINE: faiss.METRIC_INNER_PRODUCT,
    DOT: faiss.METRIC_INNER_PRODUCT,
    EUCLIDEAN: faiss.METRIC_L2,
}
TRAINING_ROWS = 262_144
TRIAL_ROWS = 64
# Points that the cells of an inverted file are clustered from: for each cell, or for all of few.
POINTS_PER_CELL, POINTS = 64, 65_536

# FAISS accepts other numbers without an error and crashes: a graph with too few links (HNSW1 is a
# segmentation fault) or with more than any memory holds.
LINKS = range(2, 1025)


def build(
    factory: str,
    dim: int,
    blocks: Sequence[Block],
    deleted: Keys = NO_KEYS,
    parameters: SearchParameters = DEFAULTS,
    fill: Fill | None = None,
) -> FaissIndex:
    """Train and fill an index, without `deleted` keys; see `IndexEngine.build`."""
    metric = METRICS[blocks[0].similarity if blocks else COSINE]
    inner = check_factory(factory, dim, metric)
    further, owners = duplicates(blocks, deleted)
    deleted = np.union1d(deleted, further)
    rows = count_live(blocks, deleted)
    if not rows:
        raise InputError(f"Cannot build '{factory}': no document has a vector yet. Add some first.")
    try:
        _prepare_training(inner)
        if not inner.is_trained:
            inner.train(_sample(blocks, deleted, _training_rows(inner)))
        sample = _sample(blocks, deleted, TRIAL_ROWS)[:TRIAL_ROWS]
        _try_a_copy(inner, sample, parameters)
        # Not IDMap2, which keeps a hash table of all keys: nothing looks a key up.
        index = faiss.IndexIDMap(inner)
        if fill is not None and divides(inner, sample):
            _merge_all(index, fill(packed(inner), deleted), live_keys(blocks, deleted))
        else:
            for block in blocks:
                for keys, vectors in slices(block, deleted):
                    index.add_with_ids(vectors, keys)
        _try_search(inner, sample, parameters)
    except (RuntimeError, AssertionError, MemoryError) as error:
        once = ", equal ones counted once" if len(further) else ""
        raise InputError(
            f"FAISS cannot build '{factory}' over {pluralize(rows, 'vector')}{once}: "
            f"{reason(error)}. The vectors are kept. Build it again with another factory string, "
            "such as HNSW32."
        ) from None
    return FaissIndex(index, parameters, further, owners)


# FAISS reads a factory string by regular expressions that overflow the stack from 15,000 on.
LONGEST = 500


def check_factory(factory: str, dim: int, metric: int = faiss.METRIC_INNER_PRODUCT) -> Any:
    """Return a new, empty FAISS index for a factory string; raise an InputError if it refuses."""
    if trouble := _trouble(factory):
        shown = short_repr(factory)
        raise InputError(f"FAISS cannot use {shown}: {trouble}. Try HNSW32 or 'IVF256,SQ8'.")
    try:
        return faiss.index_factory(dim, factory, metric)
    except (RuntimeError, AssertionError, TypeError, MemoryError) as error:
        raise InputError(
            f"FAISS knows no index '{factory}' for vectors {dim} wide: {reason(error)}. "
            "Try HNSW32, 'IVF256,SQ8' or 'IVF64,PQ24x4fs,RFlat' (PQ needs a divisor of the width)."
        ) from None


def _trouble(factory: str) -> str:
    """Return why a factory string would crash or hang FAISS, some already in `index_factory`."""
    if len(factory) > LONGEST or not factory.isascii():
        return f"a factory string has at most {LONGEST} characters, of ASCII alone"
    if re.search(r"(?<!\d)0+(?!\d)", factory):
        return "0 is no size (a graph's links, cells, parts and bits are at least 1)"
    if re.search(r"HNSW\d+_\d+\+", factory):
        return "a graph over two-level codes takes no search parameters, and may never end"
    if graph := re.search("NSG|NNDescent", factory):
        # NSG16 over 530 vectors of which 28 are equal; and it needs all its vectors at once.
        return f"building {graph[0]} never ends where some texts are equal"
    for number in re.findall(r"HNSW(\d+)", factory):
        if int(number) not in LINKS:
            return f"HNSW takes {LINKS.start} to {LINKS.stop - 1:,} links, not {number}"
    return ""


def _try_a_copy(index: Any, sample: Matrix, parameters: SearchParameters) -> None:
    """Fill, write, read and search a tiny copy of a trained index, or raise a RuntimeError."""
    # FAISS can write some kinds that it cannot read (ZnLattice); this shows before hours of work.
    copy = copied(index)
    copy.add(sample)
    _try_search(copied(copy), sample, parameters)


def _try_search(index: Any, sample: Matrix, parameters: SearchParameters) -> None:
    index.search(sample[:1], 1, params=faiss_parameters(index, 1, parameters))


def _training_rows(index: Any) -> int:
    """Return how many vectors an index is trained on: 4-bit codes need no more than cells do."""
    last = layers(index)[-1]
    if not isinstance(last, faiss.IndexFastScan | faiss.IndexIVFFastScan):
        return TRAINING_ROWS
    return min(TRAINING_ROWS, max(POINTS, POINTS_PER_CELL * getattr(last, "nlist", 0)))


def _prepare_training(index: Any) -> None:
    # With few vectors to a cell FAISS prints a warning from C++ and works; the recall is measured.
    for part in _parts(index):
        if isinstance(part, faiss.OPQMatrix):
            # It makes its own quantizer, with the warning, unless it is given one.
            part.pq = faiss.ProductQuantizer(part.d_out, part.M, 8)
            # SWIG holds a bare pointer: the quantizer must live as long as the transform.
            part.pq.this.disown()
        if isinstance(part, faiss.IndexIVF):
            # More points to a cell take four times as long and find no more (benchmarks/ann.py).
            most = max(POINTS_PER_CELL, POINTS // part.nlist)
            part.cp.max_points_per_centroid = min(part.cp.max_points_per_centroid, most)
        if hasattr(part, "do_polysemous_training"):
            # Many seconds for an order of centroids that only Hamming search uses; we never do.
            part.do_polysemous_training = False
        for holder in (part, *(getattr(part, name, None) for name in ("pq", "rq", "q1"))):
            if hasattr(holder, "cp"):
                holder.cp.min_points_per_centroid = 1


def _parts(index: Any) -> Iterator[Any]:
    """Yield what is trained in an index: layers, transforms, storage, coarse quantizers."""
    for part in layers(index):
        yield part
        if isinstance(part, faiss.IndexPreTransform):
            chain = (part.chain.at(place) for place in range(part.chain.size()))
            yield from map(faiss.downcast_VectorTransform, chain)
        for name in ("refine_index", "storage", "quantizer"):
            if inner := getattr(part, name, None):
                yield from _parts(inner)
        if product := getattr(part, "prq", None):
            places = range(product.nsplits)
            yield from (faiss.downcast_Quantizer(product.subquantizer(place)) for place in places)


def _merge_all(index: Any, parts: Iterator[bytes], keys: Keys) -> None:
    """Fill an empty index under keys with parts, which come in the order of the keys."""
    inner = faiss.downcast_index(index.index)
    for part in parts:
        merge(inner, part)
    clear_padding(inner)
    if inner.ntotal != len(keys):
        raise WorkerError(
            f"Workers have added {inner.ntotal:,} vectors of {len(keys):,}. Run the same again."
        )
    faiss.copy_array_to_vector(keys, index.id_map)
    index.ntotal = inner.ntotal


def _sample(blocks: Sequence[Block], deleted: Keys, rows: int) -> Matrix:
    """Return about `rows` vectors (rows, dim) spread evenly over the live rows of all blocks."""
    step = max(1, -(-count_live(blocks, deleted) // rows))
    counts = [-(-count_live([block], deleted) // step) for block in blocks]
    # Filled a block at a time: concatenating would hold everything twice.
    sample = np.empty((sum(counts), blocks[0].vectors.shape[1]), np.float32)
    stop = 0
    for block, count in zip(blocks, counts, strict=True):
        start, stop = stop, stop + count
        sample[start:stop] = live(block, deleted, step).vectors
    return sample
