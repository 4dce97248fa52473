"""What a static embedder asks of a vocabulary: how texts become rows of a table of vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, overload

import numpy as np
from numpy.typing import NDArray

from retriever.embedders.base import Matrix


class Names(Sequence[str]):
    """A list of words that is made when somebody looks at it."""

    def __init__(self, count: int, make: Callable[[], list[str]]) -> None:
        self._count, self._make = count, make
        self._names: list[str] | None = None

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        return self._all()[place]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def _all(self) -> list[str]:
        if self._names is None:
            self._names = self._make()
        return self._names


@dataclass(frozen=True)
class TokenRows:
    """The known words of some texts, in order, as rows of the vectors that these texts need.

    `rows` (total,) int32 are positions in `table`; those of text `i` are
    `rows[offsets[i]:offsets[i + 1]]`; `offsets` (texts + 1,) int64. `table` (distinct, dim) float32
    has every distinct known word once, as it is in the source; `ids` (distinct,) int64 is its row
    in the vocabulary's own `vectors`, or -1 for one made of subwords; `words` (distinct) what it is
    called. `occurring` counts the words of all texts, known or not.
    """

    rows: NDArray[np.int32]
    offsets: NDArray[np.int64]
    ids: NDArray[np.int64]
    words: Sequence[str]
    table: Matrix
    occurring: int

    def __len__(self) -> int:
        return len(self.offsets) - 1


class Vocabulary(Protocol):
    """A table of vectors, and how texts become rows of it.

    Rows are ordered as in the source; files are sorted by frequency, so that a row's number is the
    rank of its word.
    """

    @property
    def dim(self) -> int:
        """The width of the vectors."""

    @property
    def checksum(self) -> str:
        """SHA-256 of the source, in hex."""

    @property
    def attributes(self) -> Mapping[str, object]:
        """All that decides which vectors a text gets, `source=checksum` too, for a fingerprint."""

    @property
    def case(self) -> str:
        """How capital letters are treated, in a few words for people."""

    @property
    def teacher(self) -> str | None:
        """The fingerprint of the embedder that the table was fitted to, where that is recorded."""

    @property
    def vectors(self) -> Matrix:
        """The vectors (rows, dim) float32, memory-mapped and read-only."""

    def name(self, row: int) -> str:
        """What a row of `vectors` is the vector of: a word, a phrase or a token."""

    def bags(self, texts: Sequence[str]) -> TokenRows:
        """The rows of the known words of all texts.

        Raises:
            UnicodeEncodeError: a text holds a lone surrogate.
        """

    def rows_of(self, text: str) -> list[int] | None:
        """The rows in `vectors` of one text's known words: what `bags` says, and sooner.

        None where only `bags` can tell: a word may get its vector from its parts.
        """

    def unknown_words(self, texts: Sequence[str]) -> list[list[str]]:
        """For each text, its words that have no vector, each once, in their order."""
