"""Protocol of vocabularies: how texts become rows of a table of vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from retriever.embedders.base import Matrix


@dataclass(frozen=True)
class TokenRows:
    """Known words of texts, in order, as rows of a table of the distinct ones.

    `rows` (total,) int32 are positions in `table`; those of text `i` are
    `rows[offsets[i]:offsets[i + 1]]`; `offsets` (texts + 1,) int64. `table` (distinct, dim) float32
    has each distinct known word's vector as in the source; `ids` (distinct,) int64 its row in the
    vocabulary's `vectors`, or -1 if built from subwords. `occurring` counts the words of all texts,
    known or not.
    """

    rows: NDArray[np.int32]
    offsets: NDArray[np.int64]
    ids: NDArray[np.int64]
    table: Matrix
    occurring: int
    make_words: Callable[[], list[str]]

    @cached_property
    def words(self) -> list[str]:
        """Name of each distinct known word."""
        return self.make_words()

    def __len__(self) -> int:
        return len(self.offsets) - 1


class Vocabulary(Protocol):
    """A table of vectors, and the mapping of texts to its rows.

    Rows are in the order of the source, by descending frequency, so a row number is a word's rank.
    """

    @property
    def dim(self) -> int:
        """Dimension of the vectors."""

    @property
    def checksum(self) -> str:
        """SHA-256 of the source, in hex."""

    @property
    def attributes(self) -> Mapping[str, object]:
        """Everything that decides a text's vectors, with `source=checksum`, for a fingerprint."""

    @property
    def case(self) -> str:
        """Readable description of how capital letters are treated."""

    @property
    def teacher(self) -> str | None:
        """Fingerprint of the embedder that the table was distilled from, if recorded."""

    @property
    def vectors(self) -> Matrix:
        """Vectors (rows, dim) float32, memory-mapped and read-only."""

    def name(self, row: int) -> str:
        """Return the word, phrase or token of a row of `vectors`."""

    def bags(self, texts: Sequence[str]) -> TokenRows:
        """Return the rows of the known words of all texts."""

    def rows_of(self, text: str) -> list[int] | None:
        """Return the rows in `vectors` of one text's known words: the fast twin of `bags`.

        None if only `bags` can answer, because a word may get its vector from subwords.
        """

    def unknown_words(self, texts: Sequence[str]) -> list[list[str]]:
        """Return, for each text, its distinct words without a vector, in order."""
