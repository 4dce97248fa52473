"""Alignment of subword tokens with words, by character offsets.

Tokens and words do not match one to one: a word may have several tokens, one character may be
several (bytes), and a token may include the space before its word, or span two words. Only the
offsets of both in the text are compared.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from indexes.errors import InputError
from retriever.embedders.base import Matrix, WordVectors, unit

POOLINGS = ("mean", "first", "last")


def validate_pooling(pieces: str) -> None:
    """Raise `InputError` unless `pieces` is one of `POOLINGS`."""
    if pieces not in POOLINGS:
        raise InputError(f"pieces is {pieces!r}; expected mean, first or last.")


def pool_words(
    spans: Sequence[tuple[int, int]],
    offsets: NDArray[np.integer],
    vectors: Matrix,
    pieces: str = "mean",
) -> WordVectors:
    """Pool the tokens of each word into a unit vector; words without a token are left out.

    `spans` are the words, in order and disjoint. `offsets` (n, 2) are the begin and end of each
    token in the text, in characters and in token order; `vectors` (n, hidden) are theirs. A token
    belongs to every word that it overlaps; an empty one, such as the (0, 0) of a special token, to
    none. `pieces` selects the `mean` of a word's tokens, the `first` or the `last`.
    """
    validate_pooling(pieces)
    words, members = _members(spans, offsets)
    if not len(words):
        return WordVectors((), np.zeros((0, vectors.shape[1]), np.float32))
    kept, starts = np.unique(words, return_index=True)
    if pieces == "first":
        pooled = vectors[members[starts]]
    elif pieces == "last":
        pooled = vectors[members[np.append(starts[1:], len(words)) - 1]]
    else:
        # Scaled to length 1 below: the sum has the direction of the mean.
        pooled = np.add.reduceat(vectors[members], starts, axis=0)
    found = tuple(spans[word] for word in kept.tolist())
    return WordVectors(found, unit(np.asarray(pooled, np.float32)))


def _members(
    spans: Sequence[tuple[int, int]], offsets: NDArray[np.integer]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the overlapping pairs (words, tokens), ordered by word, then by token."""
    bounds = np.array(spans, np.int64).reshape(-1, 2)
    begins, ends = np.asarray(offsets, np.int64).reshape(-1, 2).T
    first = np.searchsorted(bounds[:, 1], begins, side="right")
    stop = np.searchsorted(bounds[:, 0], ends, side="left")
    counts = np.where(ends > begins, np.maximum(stop - first, 0), 0)
    pieces = np.repeat(np.arange(len(counts)), counts)
    # The words of one token are adjacent: count up from its first.
    within = np.arange(len(pieces)) - np.repeat(np.cumsum(counts) - counts, counts)
    words = first[pieces] + within
    order = np.argsort(words, kind="stable")
    return words[order], pieces[order]
