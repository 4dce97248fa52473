"""A FAISS index under our keys: searched, masked, written to a file and read back.

FAISS misused is silent: it pads with key -1, answers a query of zeros with anything, and ignores
parameters that an index does not have. Input is checked before it, and results translated after.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from indexes.catalog.filters.conditions import Filter
from indexes.errors import DamageError, InputError
from indexes.neighbors import (
    NO_KEY,
    Keys,
    Matrix,
    Neighbors,
    best,
    nothing,
    validate_k,
)
from indexes.vectors.engine import Mask
from indexes.vectors.faiss_engine.efforts import cost, efforts
from indexes.vectors.faiss_engine.kernels import computing
from indexes.vectors.faiss_engine.search_params import (
    DEFAULTS,
    SearchParameters,
    faiss_parameters,
    layers,
)
from indexes.vectors.nodes import NO_KEYS, Nodes, pack_further, read_further

NO_ROW = -1
WRITTEN_BYTES = 1 << 20
# An index that takes no selector is searched for at most this many more rows; beyond, brute force
# is cheaper.
HIDDEN_AT_MOST = 10_000


class FaissIndex:
    """A FAISS index over vectors under our keys.

    FAISS sees rows; this class translates. (FAISS's own IDMap passes an id selector through
    untranslated to an index inside a PreTransform or a Refine, which then drops the wrong rows.)
    """

    def __init__(
        self,
        index: Any,
        parameters: SearchParameters = DEFAULTS,
        further: Keys = NO_KEYS,
        owners: Keys = NO_KEYS,
    ) -> None:
        """Use a FAISS index under the lowest key of each node; `further` keys share `owners`'."""
        self._file, self._chosen = index, parameters
        self._index = faiss.downcast_index(index.index)
        self._dim = int(self._index.d)
        self._is_distance = self._index.metric_type == faiss.METRIC_L2
        self._nodes = Nodes.of(_keys_in(index), further, owners)
        self.rows = len(self._nodes.heads) + len(further)
        # FAISS's search parameters of the last `k` without a mask.
        self._unmasked: tuple[int, Any] = (0, None)

    def write(self, write: Callable[[bytes], int]) -> None:
        """Write the index, a piece at a time."""
        faiss.write_index(self._file, faiss.PyCallbackIOWriter(write, WRITTEN_BYTES))
        write(pack_further(*self._nodes.further))

    @property
    def keys(self) -> Keys:
        """All keys, the lowest of each node first."""
        return self._nodes.all_keys

    @property
    def heads(self) -> Keys:
        """The lowest key of each node."""
        return self._nodes.heads

    def mask(self, hidden: Keys) -> Mask | None:
        """Return a mask that hides some keys; None if the index has none of them."""
        if not len(hidden) or not np.isin(self.keys, hidden, assume_unique=True).any():
            return None
        nodes = self._nodes.without(hidden)
        visible = nodes.heads != NO_KEY
        bits = np.packbits(visible, bitorder="little")
        selector = faiss.IDSelectorBitmap(bits)
        selector.bits = bits  # FAISS borrows them
        return Mask(visible, selector, nodes)

    def expand(self, found: Neighbors, k: int, mask: Mask | None = None) -> Neighbors:
        """Return the `k` best keys of the nodes found; see `Nodes.expand`."""
        if not len(self._nodes.keys):  # no node has several
            return Neighbors(found.keys[:, :k], found.scores[:, :k])
        return (mask.nodes if mask else self._nodes).expand(found, k)

    def pushed(self, where: Filter, content: int, hidden: Mask | None) -> None:
        """Return nothing: FAISS knows no metadata."""

    def supports_filter(self, mask: Mask) -> bool:
        """Return whether searching with a mask costs less than brute force."""
        # An index that takes no selector is searched for as many more rows as are hidden.
        return self._takes_selectors or mask.hidden <= HIDDEN_AT_MOST

    def efforts(self) -> list[list[dict[str, float]]]:
        """Return search parameters to choose from; see `efforts.efforts`."""
        return efforts(self._index)

    def cost(self, search: Mapping[str, float]) -> float:
        """Return roughly how many nanoseconds a search takes; see `efforts.cost`."""
        return cost(self._index, search)

    def using(self, search: Mapping[str, float]) -> FaissIndex:
        """Return the same index with other search parameters; nothing is copied."""
        other = copy(self)
        other._chosen, other._unmasked = SearchParameters.of({"search": search}), (0, None)
        other.__dict__.pop("_depth", None)
        return other

    @cached_property
    def visits_all(self) -> bool:
        """Whether a search looks at every node, as scans of codes do; graphs and cells do not."""
        partial = faiss.IndexHNSW, faiss.IndexNSG, faiss.IndexIVF
        return not any(isinstance(layer, partial) for layer in layers(self._index))

    @cached_property
    def _depth(self) -> int:
        return self._chosen.fewest(self._index)

    @cached_property
    def _takes_selectors(self) -> bool:
        """Whether FAISS accepts a selector; PQ, for example, refuses before it computes."""
        nodes = int(self._index.ntotal)
        bits = np.full(nodes // 8 + 1, 0xFF, np.uint8)
        mask = Mask(np.ones(nodes, np.bool_), faiss.IDSelectorBitmap(bits), self._nodes)
        query = np.ones((1, self._dim), np.float32)
        try:
            self._index.search(query, 1, params=self._parameters(1, mask))
        except RuntimeError:
            return False
        return True

    def search(self, queries: Matrix, k: int, mask: Mask | None = None) -> Neighbors:
        """Return candidates for the `k` nearest by FAISS's own scores; see `VectorIndex`."""
        k = self._chosen.candidates(self._depth, validate_k(k))
        k = min(k, len(self._nodes.heads))
        if not k or not len(queries) or (mask and not mask.share):
            return nothing(len(queries))
        try:
            with computing(len(queries)):
                if mask is None or self._takes_selectors:
                    parameters = self._parameters(k, mask)
                    scores, rows = self._index.search(queries, k, params=parameters)
                else:
                    rows, scores = self._search_past(queries, k, ~mask.visible)
        except RuntimeError as error:
            raise InputError(
                f"FAISS cannot search this index: {reason(error)}. "
                "Build it again with another factory string, such as HNSW32."
            ) from None
        if not queries[:, 0].all():  # most queries have no number that is 0
            rows[~queries.any(axis=1)] = NO_ROW
        if self._is_distance:
            scores = -scores
        keys = (mask.nodes if mask else self._nodes).heads[rows]
        if (rows[:, -1] == NO_ROW).any():  # they come last
            missing = rows == NO_ROW
            keys[missing], scores[missing] = NO_KEY, -np.inf
        return Neighbors(keys, scores)

    def _parameters(self, k: int, mask: Mask | None) -> Any:
        if mask is not None:
            return faiss_parameters(self._index, k, self._chosen, mask)
        kept, parameters = self._unmasked
        if kept != k:
            parameters = faiss_parameters(self._index, k, self._chosen)
            self._unmasked = k, parameters
        return parameters

    def _search_past(
        self, queries: Matrix, k: int, hidden: NDArray[np.bool_]
    ) -> tuple[Keys, Matrix]:
        """Search without a selector for enough rows that `k` are left without the hidden ones."""
        many = int(hidden.sum())
        wanted = min(k + many, len(hidden))
        # The rough scan must also return its hidden rows, but need not find k_factor of each.
        factor = max(1.0, (k * self._chosen.refine_factor(self._index, k) + many) / wanted)
        parameters = faiss_parameters(self._index, wanted, self._chosen, refine_factor=factor)
        scores, rows = self._index.search(queries, wanted, params=parameters)
        rows[(rows != NO_ROW) & hidden[rows]] = NO_ROW
        found = best(rows, -scores if self._is_distance else scores, k)
        return found.keys, -found.scores if self._is_distance else found.scores


def load(path: Path, dim: int, parameters: SearchParameters = DEFAULTS) -> FaissIndex:
    """Read an index file; see `IndexEngine.load`."""
    try:
        # Its codes stay in the file, mapped, where FAISS can: of flat codes, cells and graphs. It
        # reads those of fast scan, which it packs for registers, into memory.
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError as error:
        raise DamageError(f"{path} cannot be read: {reason(error)}. Rebuild the index.") from None
    if index.d != dim or not isinstance(index, faiss.IndexIDMap):
        raise DamageError(
            f"{path} is another index: {type(index).__name__}, {index.d} wide; "
            f"expected IndexIDMap, {dim} wide. Rebuild the index."
        )
    return FaissIndex(index, parameters, *read_further(path))


class _RowKeys:
    """The keys of an index's rows where FAISS has them; the array that NumPy makes keeps both."""

    def __init__(self, index: Any) -> None:
        self._index = index
        keys = faiss.rev_swig_ptr(index.id_map.data(), index.id_map.size())
        self.__array_interface__ = {**keys.__array_interface__, "data": (keys.ctypes.data, True)}


def _keys_in(index: Any) -> Keys:
    """Return the keys of an index's rows, without a copy."""
    return np.asarray(_RowKeys(index)) if index.id_map.size() else NO_KEYS


def reason(error: BaseException) -> str:
    """Return FAISS's message without the C++ function and file in front of it."""
    text = str(error).strip() or type(error).__name__
    text = re.sub(r"^Error in .*? at .*?:\d+: ", "", text, flags=re.DOTALL)
    text = re.sub(r"^Error: '.*?' failed:? ?", "", text, flags=re.DOTALL) or text
    return " ".join(text.split()).rstrip(".")
