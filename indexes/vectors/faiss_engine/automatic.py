"""The structure for a number of vectors: exact search, codes of all, or cells of codes."""

from __future__ import annotations

import math

# Exact search reads all numbers: so many take about 5 ms of one thread, and fewer rows than these
# at most 15 (at 1,024 numbers each).
EXACT_NUMBERS, EXACT_ROWS = 16_000_000, 50_000
# A scan of so many bytes of codes takes about half a millisecond; cells are worth their training
# above it.
SCANNED_BYTES = 8_000_000
# Bits of a code for each number of a vector, in parts of 4 bits.
BITS = 4


def automatic_factory(rows: int, dim: int) -> str:
    """Return the FAISS factory string for so many vectors; empty where exact search is as good.

    The codes are those of 4-bit product quantizers that are scanned from registers (André,
    Kermarrec and Le Scouarnec, 2015, Cache locality is not enough), the cells those of an inverted
    file, with residuals (Jégou, Douze and Schmid, 2011, Product quantization for nearest neighbor
    search). Candidates are scored from the stored vectors.
    """
    if rows < EXACT_ROWS or rows * dim <= EXACT_NUMBERS:
        return ""
    parts = _parts(rows, dim)
    if rows * parts // 2 <= SCANNED_BYTES:
        return f"PQ{parts}x4fs"
    cells = 1 << round(math.log2(2 * math.sqrt(rows)))
    return f"IVF{cells},PQ{parts}x4fsr"


def _parts(rows: int, dim: int) -> int:
    """Return the number of parts of a code: one for each number, or for two of a wide vector."""
    return dim // 2 if dim >= WIDE and dim % 2 == 0 else dim


WIDE = 128
