"""Packing of texts of different lengths, so that they are read in parallel without padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class PackedSteps:
    """Packed order of rows, as in torch's `pack_padded_sequence`.

    At each step, every text that has not ended has one row, longest first. `sizes` are the numbers
    of rows per step. `rows` (2, total) maps these rows to those of the concatenated texts for both
    directions: the second one reads each text from its end. `last` is each text's last row, and
    `order` its position in the input.
    """

    sizes: list[int]
    rows: Ids
    last: Ids
    order: Ids


def pack(lengths: Ids) -> PackedSteps:
    """Return the packing of texts with these lengths, each at least 1."""
    order = np.argsort(-lengths, kind="stable")
    begins = (np.cumsum(lengths) - lengths)[order]
    sorted_lengths = lengths[order]
    running = np.arange(sorted_lengths[0])[:, None] < sorted_lengths
    step, text = np.nonzero(running)
    forward = begins[text] + step
    backward = begins[text] + sorted_lengths[text] - 1 - step
    sizes = running.sum(axis=1)
    last = (np.cumsum(sizes) - sizes)[sorted_lengths - 1] + np.arange(len(lengths))
    return PackedSteps(sizes.tolist(), np.stack([forward, backward]), last, order)


def blocks(sizes: Sequence[int], most: int) -> Iterator[tuple[int, list[int]]]:
    """Yield blocks of consecutive steps of at most `most` rows, with the first row of each."""
    begin = end = 0
    some = list[int]()
    for size in sizes:
        if some and end + size - begin > most:
            yield begin, some
            begin, some = end, []
        some.append(size)
        end += size
    if some:
        yield begin, some
