"""The vectors of word pieces, made those of the words that they are parts of, by character offsets.

A tokenizer's pieces and our words do not line up: a word may be several pieces, one character may
be several (bytes), a piece may begin with the space before its word, and may reach over two words.
Where both lie in the text is all that counts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from indexes.errors import InputError
from retriever.embedders.base import Matrix, WordVectors, unit
from retriever.embedders.tokenization.characters import letters

PIECES = ("mean", "first", "last")
_RUN = re.compile("[^ ]+")


def word_spans(text: str) -> tuple[tuple[int, int], ...]:
    """Where each word of a text begins and ends, in characters; see `characters.py` for words.

    Raises:
        UnicodeEncodeError: the text holds a lone surrogate.
    """
    # Every separator becomes one space, and a letter stays as it is: no place is moved.
    return tuple(match.span() for match in _RUN.finditer(text.translate(letters(lower=False))))


def check_pieces(pieces: str) -> None:
    """Check that there is such a way with the pieces of a word.

    Raises:
        InputError: there is none.
    """
    if pieces not in PIECES:
        raise InputError(f"pieces is {pieces!r}; expected mean, first or last.")


def pooled_words(
    spans: Sequence[tuple[int, int]],
    offsets: NDArray[np.integer],
    vectors: Matrix,
    pieces: str = "mean",
) -> WordVectors:
    """The words of a text that have a piece, each with the unit vector of its pieces.

    `spans` are the words, in order and apart. `offsets` (n, 2) says where each piece begins and
    ends in the text, in characters, in the order in which pieces were read; `vectors` (n, hidden)
    are theirs. A piece is part of every word that it overlaps. An empty piece, such as the (0, 0)
    of a special token, is part of none. `pieces` says what a word gets: the `mean` of its pieces,
    or the `first` or the `last` of them.

    Raises:
        InputError: no such way with pieces.
    """
    check_pieces(pieces)
    words, members = _members(spans, offsets)
    if not len(words):
        return WordVectors((), np.zeros((0, vectors.shape[1]), np.float32))
    kept, starts = np.unique(words, return_index=True)
    if pieces == "first":
        pooled = vectors[members[starts]]
    elif pieces == "last":
        pooled = vectors[members[np.append(starts[1:], len(words)) - 1]]
    else:
        # The length is made 1 below: the sum has the direction of the mean.
        pooled = np.add.reduceat(vectors[members], starts, axis=0)
    found = tuple(spans[word] for word in kept.tolist())
    return WordVectors(found, unit(np.asarray(pooled, np.float32)))


def _members(
    spans: Sequence[tuple[int, int]], offsets: NDArray[np.integer]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Which piece is part of which word: (words, pieces), ordered by word, then by piece."""
    bounds = np.array(spans, np.int64).reshape(-1, 2)
    begins, ends = np.asarray(offsets, np.int64).reshape(-1, 2).T
    first = np.searchsorted(bounds[:, 1], begins, side="right")
    stop = np.searchsorted(bounds[:, 0], ends, side="left")
    counts = np.where(ends > begins, np.maximum(stop - first, 0), 0)
    pieces = np.repeat(np.arange(len(counts)), counts)
    # The words of one piece are neighbours: counted up from its first.
    within = np.arange(len(pieces)) - np.repeat(np.cumsum(counts) - counts, counts)
    words = first[pieces] + within
    order = np.argsort(words, kind="stable")
    return words[order], pieces[order]
