"""The structure for a number of vectors: exact search, codes of all, or cells of codes."""

from __future__ import annotations

import math

# Exact search reads all numbers: with so many, a query takes 3 to 8 ms of a thread (62,500 rows of
# 256 numbers, 320,000 of 50), codes in cells a tenth of that after seconds of building. Fewer rows
# than these are searched exactly at any width.
EXACT_NUMBERS, EXACT_ROWS = 16_000_000, 50_000
# Cells are worth their training above so many bytes of codes, of which a scan takes about a tenth
# of a millisecond; where nearly all neighbors are asked for, above four times as many, since most
# cells have to be visited then.
SCANNED_BYTES, SCANNED_FOR_ALL, NEARLY_ALL = 2_000_000, 8_000_000, 0.985
# A vector of so many numbers and more has a part of its code for two of them, a narrow one for
# each: of 50 numbers, 25 parts need ten times the candidates.
WIDE = 100


def automatic_factory(rows: int, dim: int, recall: float) -> str:
    """Return the FAISS factory string for so many vectors; empty where exact search is as good.

    The codes are those of 4-bit product quantizers that are scanned from registers (André,
    Kermarrec and Le Scouarnec, 2015, Cache locality is not enough), the cells those of an inverted
    file, with residuals (Jégou, Douze and Schmid, 2011, Product quantization for nearest neighbor
    search). Candidates are scored from the stored vectors.
    """
    if rows < EXACT_ROWS or rows * dim <= EXACT_NUMBERS:
        return ""
    parts = dim // 2 if dim >= WIDE and dim % 2 == 0 else dim
    scanned = SCANNED_BYTES if recall < NEARLY_ALL else SCANNED_FOR_ALL
    if rows * parts // 2 <= scanned:
        return f"PQ{parts}x4fs"
    # About as many cells as rows in each; more take longer to train and find no more.
    cells = 1 << round(math.log2(math.sqrt(rows)))
    return f"IVF{cells},PQ{parts}x4fsr"
