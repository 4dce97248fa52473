"""Texts of about the same length side by side, so that few places of a batch hold nothing."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import neg

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]

# A text may leave a quarter of its row empty, or so many places: then another batch is cheaper.
SLACK = 16


@dataclass(frozen=True)
class Batch:
    """Texts as a model reads them at once; they are padded at their ends.

    `places` are the positions of the texts among all, `ids` (n, width) their tokens, and `mask`
    (n, width) says with 1 where there is one.
    """

    places: list[int]
    ids: Numbers
    mask: Numbers


def batches(
    tokens: Sequence[Sequence[int]],
    places: Sequence[int],
    *,
    pad: int,
    budget: int,
    most: int | None = None,
) -> Iterator[Batch]:
    """The texts at `places` in batches, the longest first: what does not fit fails at once.

    `tokens` are those of all texts. A batch has at most `budget` places for tokens, padding
    included, and at most `most` texts; but always one text at least. Texts of the same length keep
    their order.
    """
    order = sorted(places, key=lambda place: -len(tokens[place]))
    lengths = [len(tokens[place]) for place in order]
    start = 0
    while start < len(order):
        width = max(1, lengths[start])
        stop = start + max(1, min(budget // width, most or len(order)))
        shortest = width - max(SLACK, width // 4)
        # Lengths fall: the first that is too short ends the batch.
        stop = bisect_right(lengths, -shortest, start, min(stop, len(order)), key=neg)
        some = order[start:stop]
        yield _batch(some, [tokens[place] for place in some], width, pad)
        start = stop


def _batch(places: list[int], tokens: Sequence[Sequence[int]], width: int, pad: int) -> Batch:
    ids = np.full((len(places), width), pad, np.int64)
    mask = np.zeros((len(places), width), np.int64)
    for row, read in enumerate(tokens):
        ids[row, : len(read)] = read
        mask[row, : len(read)] = 1
    return Batch(places, ids, mask)
