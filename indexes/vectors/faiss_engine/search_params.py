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
# Candidates of an index whose own scores are rough. With a tenth, PQ96x4fs had an ann_recall@10 of
# .97, PQ24 .86 and RaBitQ .80 over 30,000 abstracts; with these .99 and above. They are also what a
# search for the best passages of 100 documents asks for, so that it sees no more than one for 10.
DEPTH = 300
# A smaller depth, as tuned for 10 neighbors, grows with `k`: up to so many candidates for each.
TUNED_FOR, CANDIDATES = 10, 3
# Of a refined index, `k_factor` times as many are scored, by FAISS itself.
REFINED_DEPTH = 100


@dataclass(frozen=True)
class SearchParameters:
    """How hard to search, by FAISS's names; None: the default for `k` (see `effort_of`).

    A definition sets them in its `search`: `{"factory": "HNSW32", "search": {"efSearch": 256}}`.
    A parameter that the index has no part for is ignored. `depth` is the number of candidates of a
    compressed index, at least: those that its rough scores put first are scored exactly.
    """

    efSearch: int | None = None  # noqa: N815  # FAISS's name, stored in definitions
    nprobe: int | None = None
    k_factor: float = REFINE_FACTOR
    depth: int | None = None

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

        By default efSearch is at least twice `k`, since below `k` it loses neighbors, or `k` if
        these are candidates already; nprobe is an eighth of the cells and at least 16; a refined
        index scores 8 times its depth.
        """
        if isinstance(part, faiss.IndexHNSW):
            wanted = k if is_rough(part) else 2 * k
            # What was chosen is for few neighbors, and below `k` it loses some.
            enough = self.efSearch if k <= TUNED_FOR else None
            visited = enough or max(self.efSearch or MIN_EF_SEARCH, wanted)
            return {"efSearch": int(visited / share)}
        if isinstance(part, faiss.IndexIVF):
            nprobe = self.nprobe or max(MIN_NPROBE, part.nlist // 8)
            return {"nprobe": min(part.nlist, int(nprobe / share))}
        if isinstance(part, faiss.IndexRefine):
            return {"k_factor": self.k_factor}
        return {}

    def depth_of(self, index: Any) -> int:
        """Return the number of candidates of an index, whatever `k` is; 0: as many as wanted."""
        index = faiss.downcast_index(index)
        if isinstance(index, faiss.IndexRefine):
            return self.depth or REFINED_DEPTH
        return self.depth or DEPTH if is_rough(index) else 0

    def fewest(self, index: Any) -> int:
        """Return how many neighbors to ask an index for, at least, to have the best among them."""
        # A refined index has seen its candidates by then, and puts the best first.
        refined = isinstance(faiss.downcast_index(index), faiss.IndexRefine)
        return 0 if refined else self.depth_of(index)

    @staticmethod
    def candidates(fewest: int, k: int) -> int:
        """Return how many candidates to ask for if there are to be so many at least, at any `k`."""
        grown = min(math.ceil(fewest * k / TUNED_FOR), CANDIDATES * k)
        return max(k, fewest, grown)

    def refine_factor(self, index: Any, k: int) -> float:
        """Return FAISS's `k_factor` for `k` neighbors of a refined index: its depth is fixed."""
        fixed = (self.k_factor * self.depth_of(index) + 0.5) / k  # FAISS rounds down
        return max(fixed, min(self.k_factor, 2.0))


DEFAULTS = SearchParameters()


def parameters_of(index: Any, k: int, chosen: SearchParameters) -> dict[str, float]:
    """Return the parameters of all layers of an index for `k` neighbors."""
    effort: dict[str, float] = {}
    for part in layers(index):
        effort |= chosen.effort_of(part, chosen.candidates(chosen.fewest(index), k))
    fewest = chosen.fewest(index)
    depth = chosen.candidates(fewest, k) if fewest else chosen.depth_of(index)
    return effort | ({"depth": depth} if depth else {})


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
    effort = chosen.effort_of(index, k, mask.share if mask else 1.0)
    if isinstance(index, faiss.IndexPreTransform):
        inner = faiss_parameters(index.index, k, chosen, mask, refine_factor)
        return faiss.SearchParametersPreTransform(index_params=inner)
    if isinstance(index, faiss.IndexRefine):
        factor = refine_factor or chosen.refine_factor(index, k)
        factor = min(factor, max(1.0, index.ntotal / k))
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


def is_rough(index: Any) -> bool:
    """Return whether an index's own scores are not exact: it keeps codes, or fewer dimensions."""
    index = faiss.downcast_index(index)
    if isinstance(index, faiss.IndexHNSW):
        return is_rough(index.storage)
    return not isinstance(index, faiss.IndexFlat | faiss.IndexIVFFlat)
