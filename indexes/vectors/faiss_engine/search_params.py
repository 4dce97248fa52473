"""Search parameters of a FAISS index: from its definition, with defaults that depend on `k`."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import faiss

from indexes.errors import InputError
from indexes.vectors.engine import Definition, Mask

MIN_EF_SEARCH = 128
MIN_NPROBE = 16
REFINE_FACTOR = 8.0


@dataclass(frozen=True)
class SearchParameters:
    """How hard to search, by FAISS's names; None: the default for `k` (see `effort_of`).

    A definition sets them in its `search`: `{"factory": "HNSW32", "search": {"efSearch": 256}}`.
    A parameter that the index has no part for is ignored.
    """

    efSearch: int | None = None  # noqa: N815  # FAISS's name, stored in definitions
    nprobe: int | None = None
    k_factor: float = REFINE_FACTOR

    @classmethod
    def of(cls, definition: Definition) -> SearchParameters:
        """Return the parameters that a definition sets, checked, and the defaults of the others."""
        chosen = definition.get("search", {})
        known = [field.name for field in fields(cls)]
        if not isinstance(chosen, dict):
            raise InputError(f"Search parameters are {chosen!r}; expected an object of numbers.")
        for name, value in chosen.items():
            if name not in known:
                raise InputError(f"No search parameter '{name}'; expected {', '.join(known)}.")
            kinds = (int, float) if name == "k_factor" else (int,)
            if isinstance(value, bool) or not isinstance(value, kinds) or not 1 <= value < math.inf:
                wanted = "a number" if name == "k_factor" else "a whole number"
                raise InputError(f"{name} is {value!r}; expected {wanted} of at least 1.")
        return cls(**chosen)

    def effort_of(self, part: Any, k: int, share: float = 1.0) -> dict[str, float]:
        """Return the parameters of one layer for `k` neighbors if a share of the rows is visible.

        By default efSearch is at least twice `k`, since below `k` it loses neighbors; nprobe is an
        eighth of the cells and at least 16; a refined index scores 8 times as many candidates as it
        returns.
        """
        if isinstance(part, faiss.IndexHNSW):
            return {"efSearch": int((self.efSearch or max(MIN_EF_SEARCH, 2 * k)) / share)}
        if isinstance(part, faiss.IndexIVF):
            nprobe = self.nprobe or max(MIN_NPROBE, part.nlist // 8)
            return {"nprobe": min(part.nlist, int(nprobe / share))}
        if isinstance(part, faiss.IndexRefine):
            return {"k_factor": self.k_factor}
        return {}


DEFAULTS = SearchParameters()


def parameters_of(index: Any, k: int, chosen: SearchParameters) -> dict[str, float]:
    """Return the parameters of all layers of an index for `k` neighbors."""
    effort: dict[str, float] = {}
    for part in layers(index):
        effort |= chosen.effort_of(part, k)
    return effort


def faiss_parameters(
    index: Any,
    k: int,
    chosen: SearchParameters,
    mask: Mask | None = None,
    refine_factor: float | None = None,
) -> Any:
    """Return search parameters of FAISS's class for an index, down through what it wraps.

    None if there is nothing to set: PQ, for example, refuses even empty parameters.
    """
    index = faiss.downcast_index(index)
    selector = mask.selector if mask else None
    # If only a share of the rows is visible, the search has to visit more of them.
    effort = chosen.effort_of(index, k, float(mask.visible.mean()) if mask else 1.0)
    if isinstance(index, faiss.IndexPreTransform):
        inner = faiss_parameters(index.index, k, chosen, mask, refine_factor)
        return faiss.SearchParametersPreTransform(index_params=inner)
    if isinstance(index, faiss.IndexRefine):
        factor = min(refine_factor or chosen.k_factor, max(1.0, index.ntotal / k))
        inner = faiss_parameters(index.base_index, int(k * factor), chosen, mask)
        return faiss.IndexRefineSearchParameters(base_index_params=inner, k_factor=factor)
    if isinstance(index, faiss.IndexHNSW):
        return faiss.SearchParametersHNSW(sel=selector, **effort)
    if isinstance(index, faiss.IndexIVFPQ):
        return faiss.IVFPQSearchParameters(sel=selector, **effort)
    if isinstance(index, faiss.IndexIVF):
        return faiss.SearchParametersIVF(sel=selector, **effort)
    return faiss.SearchParameters(sel=selector) if selector else None


def layers(index: Any) -> list[Any]:
    """Return an index and the indexes that it wraps, outermost first."""
    index = faiss.downcast_index(index)
    if isinstance(index, faiss.IndexPreTransform):
        return [index, *layers(index.index)]
    if isinstance(index, faiss.IndexRefine):
        return [index, *layers(index.base_index)]
    return [index]
