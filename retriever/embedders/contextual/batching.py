"""Batches of texts of similar length, to keep padding low."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import neg

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]

# A text may leave a quarter of its row, or this many positions, empty: beyond that, a new batch is
# cheaper.
SLACK = 16


@dataclass(frozen=True)
class Batch:
    """Texts that a model reads at once, padded on the right.

    `places` are the positions of the texts in the input; `ids` (n, width) are their tokens, and
    `mask` (n, width) is 1 where there is one.
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
    padded: int | None = None,
) -> Iterator[Batch]:
    """Yield the texts at `places` in batches, longest first, to run out of memory early if at all.

    `tokens` are the tokens of all texts. A batch has at most `budget` positions, padding included,
    and at most `most` texts, but always at least one. Texts of equal length keep their order. All
    batches are `padded` positions wide, if that is given.
    """
    order = sorted(places, key=lambda place: -len(tokens[place]))
    lengths = [len(tokens[place]) for place in order]
    start = 0
    while start < len(order):
        width = max(1, lengths[start], padded or 0)
        stop = start + max(1, min(budget // width, most or len(order)))
        shortest = 0 if padded else width - max(SLACK, width // 4)
        # Lengths are descending: the first one that is too short ends the batch.
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
