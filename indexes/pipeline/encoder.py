"""Texts become vectors, batch by batch; where a batch fails, the texts at fault are found."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from indexes.catalog.passages import Passage
from indexes.errors import InputError, MismatchError, RetrieverError
from indexes.neighbors import Matrix
from indexes.vectors.shards import as_rows

# Texts in; vectors (len(texts), dim) and counts to remember out.
Encode = Callable[[Sequence[str]], tuple[Matrix, Mapping[str, int]]]

# So many single texts that fail one after another raise the question whether any would do.
IN_A_ROW = 8
REASON_CHARACTERS = 200


@dataclass(frozen=True)
class EncodedBatch:
    """Passages that were encoded together: their keys, ascending, and what came of them."""

    keys: Sequence[int]
    vectors: Matrix
    seconds: float
    report: Mapping[str, int]


@dataclass(frozen=True)
class FailedPassage:
    """A passage that could not be encoded even alone, and the first line of what was raised."""

    key: int
    reason: str


@dataclass(frozen=True)
class Batch:
    """What became of a batch, in key order; `seconds` are those of tries that failed, too.

    Where the embedder was given up on the way, `error` says why, and `outcomes` end before that.
    """

    outcomes: Sequence[EncodedBatch | FailedPassage]
    seconds: float
    error: Exception | None = None

    @property
    def most(self) -> int | None:
        """How many texts at once were not too many; None where nothing speaks for a limit.

        A batch that fails though each of its texts can be encoded was too large, for the memory
        most likely.
        """
        sizes = [len(part.keys) for part in self.outcomes if isinstance(part, EncodedBatch)]
        return max(sizes) if 1 < len(sizes) == len(self.outcomes) else None

    @property
    def stop_key(self) -> int | None:
        """The key before which its passages have been dealt with; None where none has been."""
        if not self.outcomes:
            return None
        last = self.outcomes[-1]
        return (last.keys[-1] if isinstance(last, EncodedBatch) else last.key) + 1


@dataclass
class FaultTolerantEncoder:
    """Encodes batch after batch with an embedder of a width `dim`; `proven` is a text it took once.

    A batch for which the embedder raises, or gives what no shard takes, is halved, and its halves
    likewise, until the texts that fail alone are known; the others go on. When several fail in a
    row, it is asked for a text again that it took before, or, where it has taken none yet, for
    others of the batch. If it fails for these, too, no text is at fault: the batch ends there, with
    its first error as it was. So it does by an error that tells of a model or of files.
    """

    encode: Encode
    dim: int
    proven: str | None = None
    _batch: Sequence[Passage] = ()
    _has_worked: bool = False
    _row: int = 0
    _first: Exception | None = field(default=None, repr=False)

    def batch(self, passages: Sequence[Passage]) -> Batch:
        """Encode some passages, as far as the embedder goes."""
        self._batch = passages
        started = time.perf_counter()
        outcomes: list[EncodedBatch | FailedPassage] = []
        mark_stale: Exception | None = None
        try:
            # What came before an error stays in the list.
            outcomes.extend(self._outcomes(passages))
        except Exception as error:
            mark_stale = error
        return Batch(outcomes, time.perf_counter() - started, mark_stale)

    def finish(self) -> None:
        """Check, after the last batch, that the last texts failed by their own fault.

        Raises the embedder's error where it takes nothing at all, or nothing any more.
        """
        if self._row and not self._takes_any(()):
            self._give_up()

    def _outcomes(self, passages: Sequence[Passage]) -> Iterator[EncodedBatch | FailedPassage]:
        try:
            part = self._part(passages)
        except Exception as raised:
            if isinstance(raised, RetrieverError) and not _is_about_texts(raised):
                raise
            error = raised
        else:
            yield part
            return
        self._first = self._first or error
        # What the failed try holds is most often the memory that a smaller one needs.
        traceback.clear_frames(error.__traceback__)
        if len(passages) == 1:
            yield self._failed(passages[0], error)
            return
        middle = len(passages) // 2
        yield from self._outcomes(passages[:middle])
        yield from self._outcomes(passages[middle:])

    def _part(self, passages: Sequence[Passage]) -> EncodedBatch:
        started = time.perf_counter()
        # What is not finite is refused below, by name.
        with np.errstate(invalid="ignore", over="ignore"):
            vectors, report = self.encode([passage.text for passage in passages])
        seconds = time.perf_counter() - started
        keys = [passage.key for passage in passages]
        # A copy: an embedder may use the same memory for what it is asked next.
        vectors = as_rows(keys, vectors, self.dim).copy()
        self._has_worked, self._row, self._first = True, 0, None
        if self.proven is None:
            # Zeros prove nothing: an embedder may give them without a look at its model.
            filled = vectors.any(axis=1)
            self.proven = passages[int(filled.argmax())].text if filled.any() else None
        return EncodedBatch(keys, vectors, seconds, {"texts": len(keys), **report})

    def _failed(self, passage: Passage, error: Exception) -> FailedPassage:
        self._row += 1
        if self._row >= IN_A_ROW:
            step = max(1, len(self._batch) // IN_A_ROW)
            if not self._takes_any([one.text for one in self._batch[::-step][:IN_A_ROW]]):
                self._give_up()
            self._row = 0
        return FailedPassage(passage.key, _reason(error))

    def _takes_any(self, texts: Sequence[str]) -> bool:
        """Whether a text is taken that was taken before; where there is none, one of `texts`."""
        if self.proven is None and not texts:
            return self._has_worked
        return any(map(self._takes, texts if self.proven is None else [self.proven]))

    def _takes(self, text: str) -> bool:
        try:
            as_rows([0], self.encode([text])[0], self.dim)
        except Exception:
            return False
        return True

    def _give_up(self) -> None:
        if self._first is not None:
            raise self._first


def _is_about_texts(error: RetrieverError) -> bool:
    """Whether one of our own errors may be the fault of a text: not of a model, nor of a file."""
    return isinstance(error, InputError | MismatchError)


def _reason(error: Exception) -> str:
    """The first line of what an error says, after its kind where it is not one of ours."""
    said = next(iter(str(error).strip().splitlines()), "")
    kind = "" if isinstance(error, RetrieverError) else type(error).__name__
    line = ": ".join(part for part in (kind, said) if part) or type(error).__name__
    shown = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in line)
    return shown if len(shown) <= REASON_CHARACTERS else f"{shown[:REASON_CHARACTERS]}..."
