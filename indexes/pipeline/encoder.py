"""Texts to vectors, batch by batch; if a batch fails, the texts at fault are found by bisection."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np

from indexes.catalog.passages import Content, Passage
from indexes.catalog.records import EmbeddingRow
from indexes.errors import InputError, MismatchError, RetrieverError
from indexes.images import Image
from indexes.neighbors import COSINE, Matrix
from indexes.vectors.postings import filled
from indexes.vectors.shards import as_rows, for_similarity

# Texts and images in; vectors (len(contents), dim) and counts to remember out.
Encode = Callable[[Sequence[Content]], tuple[Matrix, Mapping[str, int]]]

# After this many single texts that fail in a row, the embedder itself is tested.
IN_A_ROW = 8
REASON_CHARACTERS = 200
_ABOUT_TEXTS = (InputError, MismatchError)


@dataclass(frozen=True)
class EncodedBatch:
    """Passages that were encoded together: their keys, ascending, and their vectors."""

    keys: Sequence[int]
    vectors: Matrix
    seconds: float
    report: Mapping[str, int]


@dataclass(frozen=True)
class FailedPassage:
    """A passage that could not be encoded even alone, and the first line of the error."""

    key: int
    reason: str


@dataclass(frozen=True)
class Batch:
    """The outcomes of a batch, in key order; `seconds` include failed tries.

    If the embedder itself failed, `error` says why, and `outcomes` end before that.
    """

    outcomes: Sequence[EncodedBatch | FailedPassage]
    seconds: float
    error: Exception | None = None

    @property
    def most(self) -> int | None:
        """Number of texts that could be encoded at once; None if there is no sign of a limit."""
        # A batch that fails although each of its texts can be encoded was too large for the memory.
        sizes = [len(part.keys) for part in self.outcomes if isinstance(part, EncodedBatch)]
        return max(sizes) if 1 < len(sizes) == len(self.outcomes) else None

    @property
    def stop_key(self) -> int | None:
        """Key before which all passages have an outcome; None if none has."""
        if not self.outcomes:
            return None
        last = self.outcomes[-1]
        return (last.keys[-1] if isinstance(last, EncodedBatch) else last.key) + 1


class Encoding(Protocol):
    """What gives passages their vectors, batch by batch."""

    def batch(self, passages: Sequence[Passage]) -> Batch:
        """Return the outcomes of some passages, up to an error of the embedder itself."""

    def finish(self) -> None:
        """Raise the embedder's error if, after the last batch, it encodes nothing any more."""


@dataclass
class FaultTolerantEncoder:
    """Encodes batches with an embedder of width `dim`.

    If the embedder raises, or returns vectors that no shard accepts (`check` raises), the batch is
    halved, and its halves again, until the texts that fail alone are known; the others are encoded.
    When several fail in a row, the embedder is tested with `known_good`, which it encoded
    before, or, if there is none yet, with others of the batch. If these fail too, no text is at
    fault: the batch ends there with its first, unchanged error. An error about a model or files
    ends it at once.
    """

    encode: Encode
    dim: int
    known_good: Content | None = None
    check: Callable[[Matrix], object] | None = None
    _batch: Sequence[Passage] = ()
    _has_worked: bool = False
    _row: int = 0
    _first: Exception | None = field(default=None, repr=False)

    def batch(self, passages: Sequence[Passage]) -> Batch:
        """Encode some passages, up to an error of the embedder itself."""
        self._batch = passages
        started = time.perf_counter()
        outcomes: list[EncodedBatch | FailedPassage] = []
        fatal: Exception | None = None
        try:
            # What came before an error stays in the list.
            outcomes.extend(self._outcomes(passages))
        except Exception as error:
            fatal = error
        return Batch(outcomes, time.perf_counter() - started, fatal)

    def finish(self) -> None:
        """Raise the embedder's error if, after the last batch, it encodes nothing any more."""
        if self._row and not self._takes_any(()):
            self._give_up()

    def _outcomes(self, passages: Sequence[Passage]) -> Iterator[EncodedBatch | FailedPassage]:
        try:
            part = self._part(passages)
        except Exception as raised:
            # One of our own about a model or a file is not the fault of a text.
            if isinstance(raised, RetrieverError) and not isinstance(raised, _ABOUT_TEXTS):
                raise
            error = raised
        else:
            yield part
            return
        self._first = self._first or error
        # The failed try usually holds the memory that a smaller one needs.
        traceback.clear_frames(error.__traceback__)
        if len(passages) == 1:
            yield self._failed(passages[0], error)
            return
        middle = len(passages) // 2
        yield from self._outcomes(passages[:middle])
        yield from self._outcomes(passages[middle:])

    def _part(self, passages: Sequence[Passage]) -> EncodedBatch:
        started = time.perf_counter()
        # Values that are not finite are refused below, with the passage named.
        with np.errstate(invalid="ignore", over="ignore"):
            vectors, report = self.encode([passage.content for passage in passages])
        seconds = time.perf_counter() - started
        keys = [passage.key for passage in passages]
        # A copy: an embedder may reuse its memory for the next batch.
        vectors = self._checked(keys, vectors).copy()
        self._has_worked, self._row, self._first = True, 0, None
        if self.known_good is None:
            # Zeros prove nothing: an embedder may return them without using its model.
            some = filled(vectors)
            self.known_good = passages[int(some.argmax())].content if some.any() else None
        texts = sum(isinstance(passage.content, str) for passage in passages)
        return EncodedBatch(keys, vectors, seconds, {"texts": texts, **report})

    def _failed(self, passage: Passage, error: Exception) -> FailedPassage:
        if isinstance(passage.content, Image) and isinstance(error, InputError):
            # Its file is missing or has changed, which says nothing about the embedder.
            return FailedPassage(passage.key, _reason(error))
        self._row += 1
        if self._row >= IN_A_ROW:
            step = max(1, len(self._batch) // IN_A_ROW)
            if not self._takes_any([one.content for one in self._batch[::-step][:IN_A_ROW]]):
                self._give_up()
            self._row = 0
        return FailedPassage(passage.key, _reason(error))

    def _takes_any(self, contents: Sequence[Content]) -> bool:
        """Return whether the embedder encodes `known_good` or, without one, any of `contents`."""
        if self.known_good is None and not contents:
            return self._has_worked
        tried = contents if self.known_good is None else [self.known_good]
        return any(map(self._takes, tried))

    def _takes(self, content: Content) -> bool:
        try:
            self._checked([0], self.encode([content])[0])
        except Exception:
            return False
        return True

    def _checked(self, keys: Sequence[int], vectors: Any) -> Matrix:
        rows = as_rows(keys, vectors, self.dim)
        if self.check is not None:
            self.check(rows)
        return rows

    def _give_up(self) -> None:
        if self._first is not None:
            raise self._first


def fault_tolerant(
    embedding: EmbeddingRow, encode: Encode, known_good: Content | None
) -> FaultTolerantEncoder:
    """Return the encoder of an embedding's passages, which checks what no shard would accept."""
    raw = embedding.similarity != COSINE
    check = partial(for_similarity, embedding=embedding) if raw else None
    return FaultTolerantEncoder(encode, embedding.dim, known_good, check)


def _reason(error: Exception) -> str:
    """Return the first line of an error's message, after its type unless it is one of ours."""
    said = next(iter(str(error).strip().splitlines()), "")
    kind = "" if isinstance(error, RetrieverError) else type(error).__name__
    line = ": ".join(part for part in (kind, said) if part) or type(error).__name__
    shown = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in line)
    return shown if len(shown) <= REASON_CHARACTERS else f"{shown[:REASON_CHARACTERS]}..."
