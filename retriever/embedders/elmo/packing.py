"""Texts of different lengths, read side by side without padding: which row is read when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Steps:
    """Texts of different lengths, read side by side without padding.

    Step by step, every text that is still running has a row, the longest first. `sizes` says how
    many those are. `rows` (2, total) leads from these rows to those of the texts one after the
    other, for either direction: the second one reads every text from its own end. `last` is each
    text's last row, and `order` its place among the texts as they were given.
    """

    sizes: list[int]
    rows: Ids
    last: Ids
    order: Ids


def side_by_side(lengths: Ids) -> Steps:
    """How texts of these lengths, from 1, are read side by side."""
    order = np.argsort(-lengths, kind="stable")
    begins = (np.cumsum(lengths) - lengths)[order]
    sorted_lengths = lengths[order]
    running = np.arange(sorted_lengths[0])[:, None] < sorted_lengths
    step, text = np.nonzero(running)
    forward = begins[text] + step
    backward = begins[text] + sorted_lengths[text] - 1 - step
    sizes = running.sum(axis=1)
    last = (np.cumsum(sizes) - sizes)[sorted_lengths - 1] + np.arange(len(lengths))
    return Steps(sizes.tolist(), np.stack([forward, backward]), last, order)


def blocks(sizes: Sequence[int], most: int) -> Iterator[tuple[int, list[int]]]:
    """Stretches of steps of at most `most` rows, with the row at which each begins."""
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
