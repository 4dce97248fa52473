"""FAISS: build a search structure from a factory string, keep it in a file, search it.

FAISS misused is silent: it pads with key -1, answers a query of zeros with anything, and ignores
parameters that an index does not have. Everything is checked before it, and translated after it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from indexes.errors import DamageError, InputError
from indexes.neighbors import (
    NO_KEY,
    Keys,
    Matrix,
    Neighbors,
    best,
    normalize_queries,
    nothing,
    validate_k,
)
from indexes.vectors.blocks import Block, count_live, live

NO_ROW = -1
NO_KEYS: Keys = np.empty(0, np.int64)
TRAINING_ROWS = 262_144
MIN_EF_SEARCH = 128
MIN_NPROBE = 16
REFINE_FACTOR = 8.0
WRITTEN_BYTES = 1 << 20
# A structure that takes no selector is asked for so many more at most; beyond, brute force is due.
HIDDEN_AT_MOST = 10_000
TRIAL_ROWS = 64

# What FAISS takes without a word and then dies of: a graph with too few links (HNSW1 is a
# segmentation fault) or with more than any memory holds.
LINKS = range(2, 1025)


@dataclass(frozen=True)
class Mask:
    """Which rows of one index a search may find; `selector` is FAISS's form of it."""

    visible: NDArray[np.bool_]
    selector: Any

    @property
    def share(self) -> float:
        """The share of the rows that may be found."""
        return float(self.visible.mean())


class AnnIndex:
    """A FAISS index over vectors under our keys.

    FAISS sees rows; this class translates. (FAISS's own IDMap passes an id selector through
    untranslated to an index inside a PreTransform or a Refine, which then drops the wrong rows.)
    """

    def __init__(self, index: Any) -> None:
        self._file = index
        self._index = faiss.downcast_index(index.index)
        self._keys: Keys = faiss.vector_to_array(index.id_map).astype(np.int64)

    @property
    def rows(self) -> int:
        """How many vectors it holds."""
        return len(self._keys)

    def write(self, write: Callable[[bytes], int]) -> None:
        """Write the index, a piece at a time."""
        faiss.write_index(self._file, faiss.PyCallbackIOWriter(write, WRITTEN_BYTES))

    @property
    def keys(self) -> Keys:
        """The keys of its rows."""
        return self._keys

    def mask(self, hidden: Keys) -> Mask | None:
        """What hides the rows of some keys (ascending) in a search; None when it has none of them.

        It belongs to this index, and may be kept as long.
        """
        visible = ~np.isin(self._keys, hidden, assume_unique=True)
        if visible.all():
            return None
        bits = np.packbits(visible, bitorder="little")
        selector = faiss.IDSelectorBitmap(bits)
        # FAISS borrows the bits.
        selector.bits = bits
        return Mask(visible, selector)

    def can_hide(self, mask: Mask) -> bool:
        """Whether it can leave out what a mask hides at less cost than brute force has.

        A structure that takes no selector is asked for as many more as are hidden.
        """
        return self._takes_selectors or int((~mask.visible).sum()) <= HIDDEN_AT_MOST

    @cached_property
    def _takes_selectors(self) -> bool:
        """PQ, for example, refuses one, before it computes anything."""
        bits = np.full(self.rows // 8 + 1, 0xFF, np.uint8)
        mask = Mask(np.ones(self.rows, np.bool_), faiss.IDSelectorBitmap(bits))
        query = np.ones((1, int(self._index.d)), np.float32)
        try:
            self._index.search(query, 1, params=_parameters(self._index, 1, mask))
        except RuntimeError:
            return False
        return True

    def candidates(self, queries: Matrix, k: int, mask: Mask | None = None) -> Neighbors:
        """About `k` nearest keys for each query, by FAISS's own scores, none that is masked.

        A query of zeros finds nothing. Fewer than `k` may come back where the structure sees fewer.

        Raises:
            InputError, MismatchError: see `normalize_queries` and `validate_k`.
        """
        k = min(validate_k(k), self.rows)
        queries = normalize_queries(queries, int(self._index.d))
        if not k or not len(queries) or (mask and not mask.visible.any()):
            return nothing(len(queries))
        rows, scores = self._search(queries, k, mask)
        rows[~queries.any(axis=1)] = NO_ROW
        keys = np.where(rows == NO_ROW, NO_KEY, self._keys[rows])
        return Neighbors(keys, np.where(rows == NO_ROW, -np.inf, scores))

    def _search(self, queries: Matrix, k: int, mask: Mask | None) -> tuple[Keys, Matrix]:
        try:
            if mask is None or self._takes_selectors:
                return _ask(self._index, queries, k, mask)
            return _ask_past(self._index, queries, k, ~mask.visible)
        except RuntimeError as error:
            raise InputError(
                f"FAISS cannot search this index: {_reason(error)}. "
                "Build it again with another --ann, such as HNSW32."
            ) from None


def build(factory: str, dim: int, blocks: Sequence[Block], deleted: Keys = NO_KEYS) -> AnnIndex:
    """Train and fill an index; FAISS's inner product of unit vectors is the cosine.

    The rows of the keys in `dead` (ascending) are left out, a block at a time.

    Raises:
        InputError: FAISS does not know the factory string, or wants more vectors to train on, or
            more memory than there is.
    """
    inner = check_factory(factory, dim)
    rows = count_live(blocks, deleted)
    if not rows:
        raise InputError(f"Cannot build '{factory}': no document has a vector yet. Add some first.")
    try:
        _prepare_training(inner)
        if not inner.is_trained:
            inner.train(_sample(blocks, deleted, TRAINING_ROWS))
        sample = _sample(blocks, deleted, TRIAL_ROWS)[:TRIAL_ROWS]
        _try_a_copy(inner, sample)
        index = faiss.IndexIDMap2(inner)
        for block in blocks:
            _add(index, live(block, deleted))
        _ask(inner, sample[:1], 1, None)
    except (RuntimeError, AssertionError, MemoryError) as error:
        raise InputError(
            f"FAISS cannot build '{factory}' over {rows:,} vectors: {_reason(error)}. "
            "The vectors are kept: build again with a smaller --ann (IVF16,Flat), or with Flat."
        ) from None
    return AnnIndex(index)


def check_factory(factory: str, dim: int) -> Any:
    """A new, empty FAISS index for a factory string such as `HNSW32` or `IVF256,SQ8`.

    Raises:
        InputError: FAISS does not know the string, or cannot use it for this width.
    """
    if trouble := _trouble(factory):
        raise InputError(f"FAISS cannot use '{factory}': {trouble}. Try HNSW32 or 'IVF256,SQ8'.")
    try:
        return faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT)
    except (RuntimeError, AssertionError, TypeError, MemoryError) as error:
        raise InputError(
            f"FAISS knows no index '{factory}' for vectors {dim} wide: {_reason(error)}. "
            "Try HNSW32, 'IVF256,SQ8' or 'IVF64,PQ24x4fs,RFlat' (PQ needs a divisor of the width)."
        ) from None


def _trouble(factory: str) -> str:
    """What makes a factory string deadly, if anything; some die in `index_factory` itself."""
    if re.search(r"(?<!\d)0+(?!\d)", factory):
        return "0 is no size (a graph's links, cells, parts and bits are at least 1)"
    if re.search(r"HNSW\d+_\d+\+", factory):
        return "a graph over two-level codes takes no search parameters, and may never end"
    if graph := re.search("NSG|NNDescent", factory):
        # NSG16 over 530 vectors of which 28 are equal; and it wants all its vectors at once.
        return f"building {graph[0]} never ends where some texts are equal"
    for number in re.findall(r"HNSW(\d+)", factory):
        if int(number) not in LINKS:
            return f"HNSW takes {LINKS.start} to {LINKS.stop - 1:,} links, not {number}"
    return ""


def _try_a_copy(index: Any, sample: Matrix) -> None:
    """Fill, write, read and search a tiny copy of a trained index.

    FAISS has kinds that it writes and cannot read (ZnLattice); the copy tells before hours of work.

    Raises:
        RuntimeError: by FAISS, with its reason.
    """
    copy = _read_back(index)
    copy.add(sample)
    _ask(_read_back(copy), sample[:1], 1, None)


def _read_back(index: Any) -> Any:
    return faiss.deserialize_index(faiss.serialize_index(index))


def load(path: Path, dim: int) -> AnnIndex:
    """Read an index file, whose checksum the caller has checked.

    Raises:
        DamageError: FAISS cannot read it, or it holds vectors of another width.
    """
    try:
        index = faiss.read_index(str(path))
        return AnnIndex(_of_width(index, dim, path))
    except RuntimeError as error:
        raise DamageError(
            f"{path} cannot be read: {_reason(error)}. Build the index again."
        ) from None


def _of_width(index: Any, dim: int, path: Path) -> Any:
    if index.d != dim or not isinstance(index, faiss.IndexIDMap2):
        raise DamageError(
            f"{path} is another index: {type(index).__name__}, {index.d} wide; "
            f"expected IndexIDMap2, {dim} wide. Build the index again."
        )
    return index


def default_effort(factory: str, dim: int, k: int) -> dict[str, float]:
    """The search parameters of an index of this kind for `k` neighbours, by FAISS's names.

    efSearch is at least twice `k`, since below `k` it loses neighbours; nprobe is an eighth of the
    cells and at least 16; a refined index scores 8 times as many candidates as it returns.
    """
    index = check_factory(factory, dim)
    effort: dict[str, float] = {}
    for part in _layers(index):
        effort |= _effort_of(part, k)
    return effort


def inner_products(query: Matrix, vectors: Matrix) -> Matrix:
    """The inner products of one query (1, dim) with some rows (rows, dim), (1, rows).

    On one thread, in single precision, at about the speed of the memory.
    """
    rows, dim = vectors.shape
    products = np.empty((1, rows), np.float32)
    faiss.fvec_inner_products_ny(
        faiss.swig_ptr(products), faiss.swig_ptr(query), faiss.swig_ptr(vectors), dim, rows
    )
    return products


def single_precision(rows: NDArray[np.floating]) -> Matrix:
    """Rows (n, dim) as a contiguous float32 matrix; they themselves where they are one."""
    if rows.dtype != np.float16:
        return np.ascontiguousarray(rows, np.float32)
    # Twice as fast as NumPy's cast.
    codec = faiss.ScalarQuantizer(rows.shape[1], faiss.ScalarQuantizer.QT_fp16)
    single: Matrix = codec.decode(np.ascontiguousarray(rows).view(np.uint8))
    return single


def _effort_of(part: Any, k: int, share: float = 1.0) -> dict[str, float]:
    """The effort for `k` neighbours where a share of the rows may be found."""
    if isinstance(part, faiss.IndexHNSW):
        return {"efSearch": int(max(MIN_EF_SEARCH, 2 * k) / share)}
    if isinstance(part, faiss.IndexIVF):
        nprobe = max(MIN_NPROBE, part.nlist // 8)
        return {"nprobe": min(part.nlist, int(nprobe / share))}
    if isinstance(part, faiss.IndexRefine):
        return {"k_factor": REFINE_FACTOR}
    return {}


def _ask(index: Any, queries: Matrix, k: int, mask: Mask | None) -> tuple[Keys, Matrix]:
    """The rows of an index nearest to each query, and their scores, without those masked.

    Raises:
        RuntimeError: by FAISS, with its reason.
    """
    scores, rows = index.search(queries, k, params=_parameters(index, k, mask))
    return rows, scores


def _ask_past(
    index: Any, queries: Matrix, k: int, hidden: NDArray[np.bool_]
) -> tuple[Keys, Matrix]:
    """Ask without a selector for so many more that `k` are left when the hidden are taken out."""
    many = int(hidden.sum())
    wanted = min(k + many, int(index.ntotal))
    # The rough scan must give up its hidden too, but need not find 8 of each of them.
    refine_factor = max(1.0, (k * REFINE_FACTOR + many) / wanted)
    parameters = _parameters(index, wanted, refine_factor=refine_factor)
    scores, rows = index.search(queries, wanted, params=parameters)
    rows[(rows != NO_ROW) & hidden[rows]] = NO_ROW
    found = best(rows, scores, k)
    return found.keys, found.scores


def _parameters(
    index: Any, k: int, mask: Mask | None = None, refine_factor: float = REFINE_FACTOR
) -> Any:
    """Search parameters of the right class for an index, down through what it wraps.

    None where there is nothing to say: PQ, for example, refuses even parameters that are empty.
    """
    index = faiss.downcast_index(index)
    selector = mask.selector if mask else None
    # Of what a structure looks at, only a share may be found: it has to look at more.
    effort = _effort_of(index, k, mask.share if mask else 1.0)
    if isinstance(index, faiss.IndexPreTransform):
        inner = _parameters(index.index, k, mask, refine_factor)
        return faiss.SearchParametersPreTransform(index_params=inner)
    if isinstance(index, faiss.IndexRefine):
        refine_factor = min(refine_factor, max(1.0, index.ntotal / k))
        inner = _parameters(index.base_index, int(k * refine_factor), mask)
        return faiss.IndexRefineSearchParameters(base_index_params=inner, k_factor=refine_factor)
    if isinstance(index, faiss.IndexHNSW):
        return faiss.SearchParametersHNSW(sel=selector, **effort)
    if isinstance(index, faiss.IndexIVFPQ):
        return faiss.IVFPQSearchParameters(sel=selector, **effort)
    if isinstance(index, faiss.IndexIVF):
        return faiss.SearchParametersIVF(sel=selector, **effort)
    return faiss.SearchParameters(sel=selector) if selector else None


def _layers(index: Any) -> list[Any]:
    """An index, and the indexes that it wraps, outermost first."""
    index = faiss.downcast_index(index)
    if isinstance(index, faiss.IndexPreTransform):
        return [index, *_layers(index.index)]
    if isinstance(index, faiss.IndexRefine):
        return [index, *_layers(index.base_index)]
    return [index]


def _prepare_training(index: Any) -> None:
    # With few vectors to a cell FAISS prints a warning from C++ and works; the recall is measured.
    for part in _parts(index):
        if isinstance(part, faiss.OPQMatrix):
            # It makes its own quantizer, with the warning, unless it is given one.
            part.pq = faiss.ProductQuantizer(part.d_out, part.M, 8)
            # SWIG holds a bare pointer: the quantizer must live as long as the transform.
            part.pq.this.disown()
        if hasattr(part, "do_polysemous_training"):
            # Many seconds for an order of centroids that only Hamming search uses; we never do.
            part.do_polysemous_training = False
        for holder in (part, *(getattr(part, name, None) for name in ("pq", "rq", "q1"))):
            if hasattr(holder, "cp"):
                holder.cp.min_points_per_centroid = 1


def _parts(index: Any) -> Iterator[Any]:
    """Everything in an index that is trained: layers, transforms, storage, coarse quantizers."""
    for part in _layers(index):
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


def _add(index: Any, block: Block) -> None:
    index.add_with_ids(np.ascontiguousarray(block.vectors, np.float32), block.keys)


def _sample(blocks: Sequence[Block], deleted: Keys, rows: int) -> Matrix:
    """About `rows` vectors (rows, dim) spread evenly over the living rows of all blocks."""
    step = max(1, -(-count_live(blocks, deleted) // rows))
    counts = [-(-count_live([block], deleted) // step) for block in blocks]
    # Filled a block at a time: the parts and the whole would be there at once.
    sample = np.empty((sum(counts), blocks[0].vectors.shape[1]), np.float32)
    stop = 0
    for block, count in zip(blocks, counts, strict=True):
        start, stop = stop, stop + count
        sample[start:stop] = live(block, deleted, step).vectors
    return sample


def _reason(error: BaseException) -> str:
    """FAISS's own words, without the C++ function and file in front of them."""
    text = str(error).strip() or type(error).__name__
    text = re.sub(r"^Error in .*? at .*?:\d+: ", "", text, flags=re.DOTALL)
    text = re.sub(r"^Error: '.*?' failed:? ?", "", text, flags=re.DOTALL) or text
    return " ".join(text.split()).rstrip(".")
