"""Search through a structure: its candidates, scored exactly; and what that search misses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from indexes.neighbors import DOT, Keys, Matrix, Neighbors, normalize_queries
from indexes.vectors import exact
from indexes.vectors.blocks import Block, rows_of
from indexes.vectors.engine import Mask, VectorIndex

# How the recall is measured: at this depth, with so many queries, of which no two have a cosine of
# `ALIKE` or more; at most so many vectors are drawn for them.
MEASURED = 10
QUERIES, DRAWN, ALIKE = 128, 2048, 0.99
AT_ONCE = 16
# What moves a query off the vectors, in standard deviations of these in each direction.
NOISE = np.float32(2.5)


def search(
    structure: VectorIndex,
    queries: Matrix,
    k: int,
    blocks: Sequence[Block],
    mask: Mask | None = None,
) -> Neighbors:
    """Return the `k` best of a structure's candidates for each query; see `rescored`.

    Errors as in `normalize_queries`, and in `VectorIndex.search`.
    """
    similarity = blocks[0].similarity
    queries = normalize_queries(queries, blocks[0].vectors.shape[1], similarity)
    found = candidates(structure, queries, k, similarity, mask)
    return rescored(structure, found, queries, k, blocks, mask)


def candidates(
    structure: VectorIndex, queries: Matrix, k: int, similarity: str, mask: Mask | None = None
) -> Neighbors:
    """Return what a structure finds; queries are as `normalize_queries` returns them."""
    if similarity == DOT:  # the length of a query changes no order of inner products
        queries = normalize_queries(queries, queries.shape[1])
    return structure.search(queries, k, mask)


def rescored(
    structure: VectorIndex,
    found: Neighbors,
    queries: Matrix,
    k: int,
    blocks: Sequence[Block],
    mask: Mask | None = None,
) -> Neighbors:
    """Return the `k` best of the candidates that a structure found, by their exact scores.

    `blocks` hold the vectors that it was built over, and may hold others. Queries are as
    `normalize_queries` returns them.
    """
    # A node that is not among the `k` best has no key among them. A key without a vector belongs to
    # a shard that is being embedded again.
    return structure.expand(exact.best_among(queries, found.keys, blocks, k), k, mask)


def recall(structure: VectorIndex, blocks: Sequence[Block], deleted: Keys) -> float:
    """Return the share of the 10 nearest that a new structure finds, on average over a sample.

    A query lies near a vector of the collection, but is none: people's queries are no documents,
    and a structure finds what it holds too easily. It varies as the vectors do, since noise in all
    directions leaves their own subspace. Over 30,000 abstracts, with titles as queries, HNSW8 finds
    .824, "IVF128,Flat" .969 and PQ10 .824; benchmarks/README.md has what is measured here for these
    and others. A hit counts by its exact score.
    """
    blocks = [block for block in blocks if len(block.keys)]
    queries = near_vectors(structure.heads, blocks)
    k = min(MEASURED, structure.rows)
    true = exact.search(queries, blocks, k, deleted).scores
    return float(shares_found(search(structure, queries, k, blocks).scores, true).mean())


def shares_found(found: Matrix, true: Matrix) -> NDArray[np.float64]:
    """Return the share of each query's `true` (n, k) nearest that is among those `found` (n, m).

    Both are scores, best first, -inf for none. Of equal scores at the end of the true ones, any
    count, but no more than there: others may be missed for them.
    """
    there = np.isfinite(true)  # fewer than k rows may be left
    last = np.where(there, true, np.inf).min(axis=1, keepdims=True)
    ties = np.minimum((found == last).sum(axis=1), (true == last).sum(axis=1))
    hits = (found > last).sum(axis=1) + ties
    return np.asarray(hits / np.maximum(there.sum(axis=1), 1))


def near_vectors(heads: Keys, blocks: Sequence[Block], count: int | None = None) -> Matrix:
    """Return up to `QUERIES` queries (n, dim), or `count`, each near a vector drawn at random.

    Of equal and nearly equal ones, one is kept: else thousands of nearly equal texts would be most
    of the queries, and find one another, while the others are not found. A vector is moved by a
    normal combination of all that were drawn: so it varies in the directions in which they do.
    """
    count = QUERIES if count is None else count
    random = np.random.default_rng(0)
    keys = random.choice(heads, min(DRAWN, len(heads)), replace=False)
    weights = np.random.default_rng(1).standard_normal((count, len(keys)), np.float32)
    kept = directions = np.empty((0, blocks[0].vectors.shape[1]), np.float32)
    moved = np.zeros((count, kept.shape[1]), np.float32)
    mean = np.zeros(kept.shape[1], np.float32)
    for start in range(0, len(keys), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        wanted = np.sort(keys[part])
        found = [block.vectors[rows_of(wanted, block.keys)] for block in blocks]
        some = np.concatenate(found).astype(np.float32)
        moved += weights[:, part] @ some
        mean += some.sum(axis=0) / len(keys)
        unit = normalize_queries(some, some.shape[1])
        unlike = (unit @ directions.T).max(axis=1, initial=-1.0) < ALIKE
        unlike &= np.triu(unit @ unit.T, 1).max(axis=0, initial=-1.0) < ALIKE
        kept = np.concatenate([kept, some[unlike]])[:count]
        directions = np.concatenate([directions, unit[unlike]])[:count]
    moved -= weights.sum(axis=1)[:, None] * mean
    noise = NOISE / np.float32(np.sqrt(len(keys))) * moved[: len(kept)]
    return normalize_queries(kept + noise, kept.shape[1], blocks[0].similarity)
