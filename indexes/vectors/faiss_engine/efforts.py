"""The search parameters that a FAISS index can be tuned by, and what a search with them costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import faiss

from indexes.vectors.faiss_engine.search_params import is_rough, layers

# 1 to 8, 10, 12, 14, 16, 20 and so on.
STEPS = sorted({count << power for power in range(24) for count in (4, 5, 6, 7)} | {1, 2, 3})
# Neighbors that an index is tuned for; no depth is less.
LEAST_DEPTH, LARGEST_DEPTH = 10, 2_048
SMALLEST_GRAPH_SEARCH, LARGEST_GRAPH_SEARCH = 16, 8_192

# Nanoseconds on one thread of a processor of 2023 with AVX-512, measured at widths of 50 and 256.
# Only their proportions matter: the choice among parameters of one index must not depend on how
# busy the machine is.
BYTE_OF_FAST_SCAN, BYTE_OF_CODE, BYTE_OF_VECTOR = 0.06, 0.3, 0.1
CELL, NODE = 150.0, 100.0
CANDIDATE, CANDIDATE_NUMBER = 200.0, 1.0


def efforts(index: Any) -> list[list[dict[str, float]]]:
    """Return settings of `search` to choose from, which find more in later rows and columns.

    In rows, how much of the index is visited; in columns, how many candidates are scored exactly.
    """
    parts, rows = layers(index), max(1, int(index.ntotal))
    visited: list[dict[str, float]] = [{}]
    for part in parts:
        if isinstance(part, faiss.IndexIVF):
            visited = [{"nprobe": cells} for cells in _steps(1, part.nlist)]
        elif isinstance(part, faiss.IndexHNSW):
            most = min(rows, LARGEST_GRAPH_SEARCH)
            visited = [{"efSearch": nodes} for nodes in _steps(SMALLEST_GRAPH_SEARCH, most)]
    depths = _steps(LEAST_DEPTH, min(rows, LARGEST_DEPTH))
    if isinstance(parts[0], faiss.IndexRefine):
        scored = [{"depth": LEAST_DEPTH, "k_factor": n / LEAST_DEPTH} for n in depths]
    else:
        scored = [{"depth": n} for n in depths] if is_rough(index) else [{}]
    return [[{**some, **more} for more in scored] for some in visited]


def _steps(first: int, last: int) -> list[int]:
    """Return numbers from the first to the last, each at most a quarter more than before."""
    return [first, *(step for step in STEPS if first < step < last), *([last] * (last > first))]


def cost(index: Any, search: Mapping[str, float]) -> float:
    """Return roughly how many nanoseconds of one thread a search with these parameters takes."""
    dim, total = int(index.d), 0.0
    candidates = search.get("depth", LEAST_DEPTH) * search.get("k_factor", 1.0)
    for part in layers(index):
        rows = float(part.ntotal)
        if isinstance(part, faiss.IndexHNSW):
            # It looks at most of the links of every node that it visits.
            links = 2 * int(part.hnsw.nb_neighbors(1))
            number = BYTE_OF_CODE if is_rough(part) else BYTE_OF_VECTOR
            size = int(part.storage.sa_code_size())
            total = search["efSearch"] * (NODE + links * number * size / 2)
            return total + candidates * (CANDIDATE + CANDIDATE_NUMBER * dim)
        if isinstance(part, faiss.IndexIVF):
            total += part.nlist * 4 * dim * BYTE_OF_VECTOR + search["nprobe"] * CELL
            rows *= search["nprobe"] / part.nlist
        if not isinstance(part, faiss.IndexRefine | faiss.IndexPreTransform):
            total += rows * _row_cost(part)
    return total + candidates * (CANDIDATE + CANDIDATE_NUMBER * dim)


def _row_cost(part: Any) -> float:
    """Return the nanoseconds that one row takes in a scan."""
    if isinstance(part, faiss.IndexFastScan | faiss.IndexIVFFastScan):
        return float(part.code_size) * BYTE_OF_FAST_SCAN
    return float(part.sa_code_size()) * (BYTE_OF_CODE if is_rough(part) else BYTE_OF_VECTOR)
