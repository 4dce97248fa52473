"""Brute-force search over memory-mapped blocks: the reference for every other index.

Candidates are found by matrix products in single precision, then scored again in double precision,
one row at a time: a score does not depend on which other queries or rows were in the same product,
so equal texts get equal scores and real ties.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from indexes.neighbors import (
    COSINE,
    EUCLIDEAN,
    Keys,
    Matrix,
    Neighbors,
    normalize_queries,
    nothing,
    validate_k,
)
from indexes.vectors import postings
from indexes.vectors.blocks import NO_ROW, Block, rows_of
from indexes.vectors.faiss_engine.kernels import (
    computing,
    inner_products,
    nearest,
    scores_by_row,
    single_precision,
)
from indexes.vectors.scores import (
    as_exact,
    exact_scores,
    exact_scores_of_one,
    exact_scores_of_parts,
    rough_scores,
    rounding,
    rounding_of_cosines,
)

CHUNK_ROWS = 16_384  # with as many queries as QUERY_ROWS: 16 MiB of scores at a time
QUERY_ROWS = 256
# Numbers that are kept in single precision where they are stored in half: 32 MiB. To decode them
# for each query would take eight times as long as to multiply them.
DECODED = 8 << 20
# Rows in a group that is represented by its best score, and the least number of groups for each
# neighbor: two of the best rows rarely fall into the same group.
GROUP_ROWS = 32
GROUPS = 4
# One query's best rows are found with their products, for up to so many neighbors among so many
# numbers, which fit the processor's cache: beyond, that takes longer than to find them afterwards.
# Some more rows than neighbors are looked at, since rounding may have put the best behind others.
BEST_AT_ONCE, CACHED_NUMBERS, SPARE = 100, 1 << 21, 6
# Numbers of one query's candidates that are scored exactly without a rough score before.
FEW_NUMBERS = 32_768
LOWEST = np.finfo(np.float32).min

# Of some queries' rows: the query, the key and the score of each, (pairs,).
Pairs = tuple[NDArray[np.intp], Keys, Matrix]
NO_PAIRS: Pairs = np.empty(0, np.intp), np.empty(0, np.int64), np.empty(0, np.float32)


def search(
    queries: Matrix, blocks: Sequence[Block], k: int, deleted: Keys | None = None
) -> Neighbors:
    """Return the `k` nearest rows of all blocks for each query, without `deleted` keys (ascending).

    All blocks have the same similarity. Of sparse ones, only rows that share a term with the query
    are found. If there are fewer than `k` rows, all are returned. A query
    of zeros finds nothing. Errors as in `normalize_queries` and `validate_k`.
    """
    k = validate_k(k)
    if not blocks:
        return nothing(len(queries))
    queries = normalize_queries(queries, blocks[0].vectors.shape[1], blocks[0].similarity)
    if isinstance(blocks[0], postings.SparseBlock):
        return postings.search(queries, cast(Sequence[postings.SparseBlock], blocks), k, deleted)
    if len(queries) == 1 and len(blocks) == 1 and 0 < len(blocks[0].keys) <= CHUNK_ROWS:
        return _search_one(queries, blocks[0], min(k, len(blocks[0].keys)), deleted)
    k = min(k, sum(len(block.keys) for block in blocks))
    if not k or not len(queries):
        return nothing(len(queries))
    parts = [queries[start : start + QUERY_ROWS] for start in range(0, len(queries), QUERY_ROWS)]
    return stack([_ranked(_candidates(part, blocks, k, deleted), len(part), k) for part in parts])


def _search_one(query: Matrix, block: Block, k: int, deleted: Keys | None) -> Neighbors:
    """Return what `search` returns, in fewer steps, for the usual case: one query over few rows.

    The twin of `_candidates` and `_ranked`; `tests/indexes/vectors/test_exact.py` holds them equal.
    """
    vectors = np.asarray(block.vectors)
    hidden = deleted if deleted is not None and len(deleted) else None
    if block.similarity == COSINE:
        slack = 2 * rounding_of_cosines(block)
        single = block.single if vectors.size <= DECODED else single_precision(vectors)
        if hidden is None and k <= BEST_AT_ONCE and vectors.size <= CACHED_NUMBERS:
            rough, rows = nearest(query, single, min(k + SPARE, len(single)))
            # Else there are too many ties, or a query of zeros.
            if rough[-1] < rough[k - 1] - slack:
                return _best_rows(query, block, vectors, rows, k)
        rough = inner_products(query, single)[0]
    else:
        rough = rough_scores(query, vectors, _lengths_of(block))[0]
        slack = 2 * rounding(query, [block]).item()
    if hidden is not None:
        rough[rows_of(hidden, block.keys)] = -np.inf
    highest = _kth_highest(rough, k)
    if highest <= 0 and not query.any():  # of zeros, no score is higher
        return nothing(1, k)
    floor = max(highest - slack, LOWEST)
    return _best_rows(query, block, vectors, (rough >= floor).nonzero()[0], k)


def _best_rows(
    query: Matrix, block: Block, vectors: NDArray[np.floating], rows: NDArray[np.int64], k: int
) -> Neighbors:
    """Return the `k` best of some rows of a block by their exact scores."""
    scores = exact_scores_of_one(query, vectors, rows, block.similarity)
    order = np.lexsort((rows, -scores))[:k]  # keys ascend with rows
    keys, scores = block.keys[rows[order]], scores[order]
    if len(order) == k:
        return Neighbors(keys[None], scores[None])
    found = nothing(1, k)
    found.keys[0, : len(order)], found.scores[0, : len(order)] = keys, scores
    return found


def rescore(queries: Matrix, keys: Keys, blocks: Sequence[Block]) -> Matrix:
    """Return the exact score of `keys` (n, m) for each of n queries; -inf for -1 or a missing key.

    Queries are as `normalize_queries` returns them for the blocks' similarity.
    """
    if blocks and isinstance(blocks[0], postings.SparseBlock):
        return postings.rescore(queries, keys, cast(Sequence[postings.SparseBlock], blocks))
    scores = np.full(keys.shape, -np.inf, np.float32)
    for block in blocks:
        at = block.places(keys)
        query, column = np.nonzero(at != NO_ROW)
        rows = at[query, column]
        scores[query, column] = exact_scores(queries, query, block.vectors, rows, block.similarity)
    return scores


def best_among(queries: Matrix, keys: Keys, blocks: Sequence[Block], k: int) -> Neighbors:
    """Return the `k` best of the candidates `keys` (n, m) for each query, as `search` does of all.

    Queries are as for `rescore`. Of many candidates, those that can be among the best by a score in
    single precision are scored exactly. A key of -1 or without a vector is left out.
    """
    k = min(k, keys.shape[1])
    if not keys.size:
        return nothing(len(queries), k)
    few = len(queries) == 1 and keys.size * queries.shape[1] <= FEW_NUMBERS
    found = _best_of_few(queries, keys[0], blocks, k) if few and queries.any() else None
    if found is not None:
        return found
    similarity = blocks[0].similarity
    rough, places = np.full(keys.shape, -np.inf, np.float32), []
    with computing(len(queries)):
        for block in blocks:
            at = block.places(keys)
            some = scores_by_row(queries, np.asarray(block.vectors), at, similarity == EUCLIDEAN)
            np.maximum(rough, some, out=rough)
            places.append(at)
    slack = 2 * rounding(queries, blocks)
    floor = np.maximum(np.partition(rough, -k, axis=1)[:, -k] - slack, LOWEST)
    floor[~queries.any(axis=1)] = np.inf
    query, column = np.nonzero(rough >= floor[:, None])
    scores = np.empty(len(query), np.float32)
    for block, at in zip(blocks, places, strict=True):
        rows = at[query, column]
        here = slice(None) if len(blocks) == 1 else np.flatnonzero(rows != NO_ROW)
        vectors = np.asarray(block.vectors)
        scores[here] = exact_scores(queries, query[here], vectors, rows[here], similarity)
    return _ranked((query, keys[query, column], scores), len(queries), k)


def _best_of_few(query: Matrix, keys: Keys, blocks: Sequence[Block], k: int) -> Neighbors | None:
    """Return what `best_among` returns, in fewer steps, for the usual case: one query, few keys.

    None where a key has no vector. The twin of the rest of `best_among`;
    `tests/indexes/vectors/test_exact.py` holds them equal.
    """
    keys = np.sort(keys)  # then those of a block are next to each other, and ties in order
    spans = [bound for block in blocks for bound in block.span]
    end, *bounds = keys.searchsorted([0, *spans]).tolist()
    keys, bounds = keys[end:], [bound - end for bound in bounds]
    parts, end = [], 0
    for block, start, stop in zip(blocks, bounds[::2], bounds[1::2], strict=True):
        if start < stop:
            rows = block.places(keys[start:stop])
            if start != end or (block.has_gaps and (rows == NO_ROW).any()):
                return None
            parts.append((np.asarray(block.vectors), rows))
            end = stop
    if end < max(len(keys), 1):
        return None
    scores = exact_scores_of_parts(query, parts, blocks[0].similarity)
    order = (-scores).argsort(kind="stable")[:k]
    keys, scores = keys[order], scores[order]
    if len(order) == k:
        return Neighbors(keys[None], scores[None])
    found = nothing(1, k)
    found.keys[0, : len(order)], found.scores[0, : len(order)] = keys, scores
    return found


def _candidates(queries: Matrix, blocks: Sequence[Block], k: int, deleted: Keys | None) -> Pairs:
    """Return rows with exact scores, in no order: at least the `k` best of each query and ties."""
    slack, similarity = 2 * rounding(queries, blocks), blocks[0].similarity
    # A query of zeros is equally far from everything; an unknown text should find nothing. Deleted
    # rows are never found.
    lowest = np.where(queries.any(axis=1), LOWEST, np.inf).astype(np.float32)
    highest = np.empty((len(queries), 0), np.float32)
    found = NO_PAIRS
    for keys, vectors, lengths in _chunks(blocks):
        rough = rough_scores(queries, vectors, lengths)
        if deleted is not None and len(deleted):
            rough[:, rows_of(deleted, keys)] = -np.inf
        highest = _highest(rough, k, highest)
        # A score below this cannot be among the best: neither by rounding nor by a tie.
        floor = np.maximum(highest[:, 0] - slack, lowest) if highest.shape[1] == k else lowest
        query, row = divmod(np.flatnonzero(rough >= floor[:, None]), len(keys))
        more = query, keys[row], exact_scores(queries, query, vectors, row, similarity)
        found = _joined(found, more, as_exact(floor, similarity))
    return found


def _chunks(
    blocks: Sequence[Block],
) -> Iterator[tuple[Keys, NDArray[np.floating], NDArray[np.float64] | None]]:
    """Yield keys, vectors and, for distances, lengths of all blocks, `CHUNK_ROWS` at a time."""
    for block in blocks:
        # A plain array over the mapped file: slicing it takes a third of the time.
        vectors, lengths = np.asarray(block.vectors), _lengths_of(block)
        for start in range(0, len(block.keys), CHUNK_ROWS):
            part = slice(start, start + CHUNK_ROWS)
            yield block.keys[part], vectors[part], None if lengths is None else lengths[part]


def _lengths_of(block: Block) -> NDArray[np.float64] | None:
    """Return the lengths of a block's vectors if distances are computed with them."""
    return block.lengths if block.similarity == EUCLIDEAN else None


def _kth_highest(scores: NDArray[np.float32], k: int) -> float:
    """Return the first value of `_highest`, its twin, for the scores of one query, (rows,)."""
    size = min(GROUP_ROWS, len(scores) // (GROUPS * k))
    if size > 1:
        groups = len(scores) // size
        best_of_each = np.maximum.reduce(scores[: size * groups].reshape(size, groups))
    else:
        best_of_each = scores.copy()
    best_of_each.partition(-k)
    return float(best_of_each[-k])


def _highest(scores: Matrix, k: int, before: Matrix) -> Matrix:
    """Return scores of `k` different rows for each query, the lowest first; all if there are fewer.

    None of the `k` best is lower than the lowest of them. They are the best of each group of rows.
    `before` are the scores returned for other rows.
    """
    rows = scores.shape[1]
    size = min(GROUP_ROWS, rows // (GROUPS * k))
    if size > 1:
        # Adjacent rows, which are often similar, fall into different groups.
        groups = rows // size
        scores = scores[:, : size * groups].reshape(len(scores), size, groups).max(axis=1)
    if before.size:
        scores = np.concatenate([before, scores], axis=1)
    return np.partition(scores, -k, axis=1)[:, -k:] if scores.shape[1] >= k else scores


def _joined(first: Pairs, second: Pairs, floor: Matrix) -> Pairs:
    """Concatenate two parts, without scores below the floor of their query."""
    if not len(first[0]):
        return second
    query = np.concatenate([first[0], second[0]])
    keys = np.concatenate([first[1], second[1]])
    scores = np.concatenate([first[2], second[2]])
    kept = scores >= floor[query]
    return query[kept], keys[kept], scores[kept]


def _ranked(pairs: Pairs, queries: int, k: int) -> Neighbors:
    """Return the `k` best pairs of each query."""
    query, keys, scores = pairs
    order = np.lexsort((keys, -scores, query))
    query = query[order]
    place = np.arange(len(query)) - np.searchsorted(query, query)
    first = place < k
    order = order[first]
    if len(order) == queries * k:
        return Neighbors(keys[order].reshape(queries, k), scores[order].reshape(queries, k))
    found, cells = nothing(queries, k), (query[first], place[first])
    found.keys[cells], found.scores[cells] = keys[order], scores[order]
    return found


def stack(parts: Sequence[Neighbors]) -> Neighbors:
    """Concatenate the results of several batches of queries; all are equally wide."""
    if len(parts) == 1:
        return parts[0]
    return Neighbors(
        np.concatenate([part.keys for part in parts]),
        np.concatenate([part.scores for part in parts]),
    )
