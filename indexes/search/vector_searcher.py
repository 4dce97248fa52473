"""The searcher of an index of vectors: exact, or candidates of a structure and unseen shards."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from indexes.catalog.records import EmbeddingRow, IndexRow
from indexes.errors import FilterNotSeenError
from indexes.neighbors import (
    NO_KEY,
    Keys,
    Matrix,
    Neighbors,
    best,
    merge,
    normalize_queries,
    nothing,
)
from indexes.search.prefilter import AllowList, Prefilter, prefilter_of
from indexes.vectors import approximate
from indexes.vectors.blocks import Block, rows_of
from indexes.vectors.engine import Mask, VectorIndex
from indexes.vectors.engines import engine_of
from indexes.vectors.exact import QUERY_ROWS, rescore, stack
from indexes.vectors.exact import search as brute_force

_LOG = logging.getLogger("retriever.search")

# With a filter that leaves a share of the rows, this many times `k` divided by it are looked at,
# and at least for this `k`: then `k` pass it wherever the filter does not depend on the query.
NEAR, LEAST_NEAR = 4, 10
# How many rows exact search reads in the time that one more candidate takes: of a graph, which
# visits more nodes for each, or of cells, for one query and for each of many; and the share of that
# time that a row takes for each of many. Measured over 100,000 abstracts, 256 wide.
GRAPH_ROWS, CELL_ROWS, OF_MANY = (100, 100), (35, 85), 1 / 7
# A query takes less time than the Python around it up to this many numbers that are compared with
# it, or rows of a structure.
BRIEF_NUMBERS, BRIEF_ROWS = 1 << 20, 1 << 17
# In a collection of no more passages, the keys that pass a filter are found before it is left to a
# server: that takes 0.1 s, about as long as Milvus evaluates it, and they are kept.
FOUND_HERE = 100_000
# Of a searcher, the filters that are kept, and the bytes of what it keeps for them.
KEPT_FILTERS, KEPT_BYTES = 32, 32 << 20


@dataclass(frozen=True)
class VectorSearcher:
    """One index over vectors, ready to search.

    `blocks` are all vectors of its embedding, `unseen` those that the engine's index does not cover
    yet, `deleted` the keys that are hidden, `missing` the number of documents that the embedding
    does not cover yet, `stale` how many of these answer by an earlier text.
    """

    index: IndexRow
    embedding: EmbeddingRow
    blocks: Sequence[Block]
    unseen: Sequence[Block]
    structure: VectorIndex | None
    deleted: Keys
    missing: int
    stale: int
    _prefilters: dict[str, Prefilter] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def search(
        self, queries: Matrix, k: int, allowed: AllowList | None = None, *, exact: bool = False
    ) -> Neighbors:
        """Return the `k` nearest passages of each query; scores are exact for every index.

        `allowed` are the keys that pass a filter; None: no filter. With `exact`, brute force over
        the same vectors. Errors as in `neighbors.normalize_queries` and `validate_k`.
        """
        if allowed and not exact and (found := self._pushed(queries, k, allowed)) is not None:
            return found
        prefilter, structure = self.prefilter(allowed), self.structure
        if exact or structure is None or prefilter.few is not None:
            return self._brute_force(queries, k, prefilter)
        if len(queries) > QUERY_ROWS:
            starts = range(0, len(queries), QUERY_ROWS)
            return stack([self.search(queries[n : n + QUERY_ROWS], k, allowed) for n in starts])
        if allowed and not structure.visits_all:
            return self._near(structure, queries, k, prefilter)
        mask = prefilter.mask(structure, self.blocks)
        if mask and not structure.supports_filter(mask):
            return self._brute_force(queries, k, prefilter)
        if allowed:
            _LOG.debug("'%s': the keys that pass the filter were given to it", self.index.name)
        unit = self._normalized(queries)
        found = approximate.candidates(structure, unit, k, self.embedding.similarity, mask)
        parts = [approximate.rescored(structure, found, unit, k, self.blocks, mask)]
        if self.unseen:
            parts.append(brute_force(queries, self.unseen, k, prefilter.hidden(self.unseen)))
        return self._filled_up(merge(parts, k), queries, k, prefilter)

    def _pushed(self, queries: Matrix, k: int, allowed: AllowList) -> Neighbors | None:
        """Return what the engine finds that evaluates a filter itself; None if it does not."""
        mask, structure = self._pushed_mask(allowed), self.structure
        if mask is None or structure is None:
            return None
        if len(queries) > QUERY_ROWS:
            starts = range(0, len(queries), QUERY_ROWS)
            return stack([self.search(queries[n : n + QUERY_ROWS], k, allowed) for n in starts])
        unit = self._normalized(queries)
        try:
            found = approximate.candidates(structure, unit, k, self.embedding.similarity, mask)
        except FilterNotSeenError:
            return None
        _LOG.debug("'%s': its server evaluated the filter", self.index.name)
        allowed.was_used = True
        found = approximate.rescored(structure, found, unit, k, self.blocks, mask)
        counts = np.count_nonzero(found.keys != NO_KEY, axis=1)[unit.any(axis=1)]
        if len(counts) and counts.min() >= k:  # the usual case: no need to know how many pass it
            return Neighbors(found.keys[:, :k], found.scores[:, :k])
        return self._filled_up(found, queries, k, self.prefilter(allowed))

    def _pushed_mask(self, allowed: AllowList) -> Mask | None:
        """Return the mask with which the engine evaluates a filter; None if it does not.

        Nor where it leaves so few keys that they are searched here. In a small collection, it is
        found out first; in any, if a filter is used again.
        """
        structure, where = self.structure, allowed.where
        if structure is None or where is None or self.unseen:
            return None
        if structure.pushed(where, allowed.content, None) is None:
            return None
        found_here = allowed.was_used or self._all_live.rows <= FOUND_HERE
        if found_here and self.prefilter(allowed).few is not None:
            return None
        hidden = self._all_live.mask(structure, self.blocks)
        return structure.pushed(where, allowed.content, hidden)

    def _near(
        self, structure: VectorIndex, queries: Matrix, k: int, prefilter: Prefilter
    ) -> Neighbors:
        """Return the best of those nearest without a filter that pass it, if these are `k`.

        Else the filter hides what is near a query, where a graph or cells would return what they
        happen to pass on the way: then search exactly.
        """
        share = prefilter.rows / sum(len(block.keys) for block in self.blocks)
        depth = math.ceil(NEAR * max(k, LEAST_NEAR) / share)
        if depth > self._most_candidates(len(queries)):
            return self._brute_force(queries, k, prefilter)
        unit = self._normalized(queries)
        found = approximate.candidates(structure, unit, depth, self.embedding.similarity)
        if len(structure.heads) == structure.rows:  # else a hidden key may stand for others
            found = _without(found, prefilter)
        found = approximate.rescored(structure, found, unit, depth, self.blocks)
        found = _without(found, prefilter)
        parts = [Neighbors(found.keys[:, :k], found.scores[:, :k])]
        counts = np.count_nonzero(parts[0].keys != NO_KEY, axis=1)
        if self.unseen:
            parts.append(brute_force(queries, self.unseen, k, prefilter.hidden(self.unseen)))
        return self._filled_up(merge(parts, k), queries, k, prefilter, counts < k)

    def _most_candidates(self, queries: int) -> float:
        """Return how many candidates of each query take no more time than to search exactly."""
        rows = sum(len(block.keys) for block in self.blocks)
        read = rows * (OF_MANY + (1 - OF_MANY) / queries)
        return read / (GRAPH_ROWS if self._is_graph else CELL_ROWS)[queries > 1]

    @cached_property
    def _is_graph(self) -> bool:
        definition = self.index.definition
        engine = engine_of(definition)
        return "efSearch" in engine.parameters(definition, self.embedding.dim, 1)

    @cached_property
    def is_brief(self) -> bool:
        """Whether a query takes less time than the Python around it; see `threads.IN_TURN`."""
        rows = sum(len(block.keys) for block in self.blocks)
        if self.structure is None:
            return rows * self.embedding.dim <= BRIEF_NUMBERS
        return rows <= BRIEF_ROWS

    def prefilter(self, allowed: AllowList | None) -> Prefilter:
        """Return what a search may find; kept for the next search with the same filter."""
        if allowed is None:
            return self._all_live
        with self._lock:
            prefilter = self._prefilters.get(allowed.name)
        if prefilter is None:
            # Outside the lock: a search with another filter need not wait for it.
            prefilter = prefilter_of(self.blocks, self.deleted, allowed)
            with self._lock:
                self._keep(allowed.name, prefilter)
        return prefilter

    @cached_property
    def _all_live(self) -> Prefilter:
        """What a search without a filter may find."""
        return prefilter_of(self.blocks, self.deleted, None)

    def _keep(self, name: str, prefilter: Prefilter) -> None:
        """Keep a prefilter; drop the oldest beyond the limits."""
        self._prefilters[name] = prefilter
        sizes = {one: kept.size for one, kept in self._prefilters.items()}
        while len(sizes) > KEPT_FILTERS or sum(sizes.values()) > KEPT_BYTES:
            oldest = next(iter(sizes))
            del self._prefilters[oldest], sizes[oldest]

    def count(self, allowed: AllowList | None = None) -> int:
        """Return the number of passages that a search can find, at most."""
        if allowed and self._pushed_mask(allowed):  # whose keys need not be known
            return self._all_live.rows
        return self.prefilter(allowed).rows

    def scores(self, queries: Matrix, keys: Keys) -> Matrix:
        """Return the exact score of `keys` (n, m) for each of n queries.

        -inf for key -1, for a key without a vector, and for a query of zeros.
        """
        checked = self._normalized(queries)
        scores = rescore(checked, keys, self.blocks)
        scores[~checked.any(axis=1)] = -np.inf
        return scores

    def vectors(self, keys: Keys) -> tuple[Keys, Matrix]:
        """Return those of some keys, ascending, that have a vector, and the vectors as stored."""
        found, vectors = [np.empty(0, np.int64)], [np.empty((0, self.embedding.dim), np.float32)]
        for block in self.blocks:
            if len(rows := rows_of(keys, block.keys)):
                found.append(block.keys[rows])
                vectors.append(np.asarray(block.vectors[rows], np.float32))
        order = np.argsort(ascending := np.concatenate(found), kind="stable")
        return ascending[order], np.concatenate(vectors)[order]

    def _normalized(self, queries: Matrix) -> Matrix:
        return normalize_queries(queries, self.embedding.dim, self.embedding.similarity)

    def _brute_force(self, queries: Matrix, k: int, prefilter: Prefilter) -> Neighbors:
        if prefilter is not self._all_live:
            _LOG.debug("'%s': what passes the filter is searched exactly", self.index.name)
        if prefilter.few is not None:
            return brute_force(queries, prefilter.few, k)
        hidden = prefilter.hidden(self.blocks)
        return brute_force(queries, self.blocks, min(k, max(prefilter.rows, 1)), hidden)

    def _filled_up(
        self,
        found: Neighbors,
        queries: Matrix,
        k: int,
        prefilter: Prefilter,
        poor: NDArray[np.bool_] | bool = False,
    ) -> Neighbors:
        """Return `found`, with exact results for queries that found fewer than `k` of enough rows.

        And for those whose results are `poor`. Cells not visited, or an unreachable part of a
        graph, must not hide documents.
        """
        wanted = min(k, prefilter.rows)
        last = found.keys[:, wanted - 1] if 0 < wanted <= found.keys.shape[1] else None
        if poor is False and last is not None and (last != NO_KEY).all():  # the usual case
            return Neighbors(found.keys[:, :wanted], found.scores[:, :wanted])
        counts = np.count_nonzero(found.keys[:, :wanted] != NO_KEY, axis=1)
        short = ((counts < wanted) | poor) & np.asarray(queries).any(axis=1)
        if not short.any():
            return Neighbors(found.keys[:, :wanted], found.scores[:, :wanted])
        whole = self._brute_force(np.asarray(queries)[short], k, prefilter)
        out, width = nothing(len(queries), wanted), min(wanted, found.keys.shape[1])
        out.keys[:, :width], out.scores[:, :width] = found.keys[:, :width], found.scores[:, :width]
        out.keys[short], out.scores[short] = whole.keys[:, :wanted], whole.scores[:, :wanted]
        return out


def _without(found: Neighbors, prefilter: Prefilter) -> Neighbors:
    """Return what was found without hidden keys, in as few columns as there are left."""
    keys = np.where(prefilter.hides(found.keys), NO_KEY, found.keys)
    most = int(np.count_nonzero(keys != NO_KEY, axis=1).max(initial=0))
    return best(keys, found.scores, most)
