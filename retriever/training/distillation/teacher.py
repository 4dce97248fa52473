"""The teacher: whether it can be one, and its encoding within a budget, with checkpoints."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter as clock

import numpy as np

from indexes.errors import InputError
from indexes.neighbors import COSINE
from indexes.progress import Progress
from indexes.storage.files import new_file
from retriever.embedders import ContextualEmbedder, Embedder
from retriever.embedders.base import Matrix, is_sparse, similarity_of

# Sentences to read unless another number is asked: more bring nothing (benchmarks/README.md).
TEXTS = 2_000
FIRST_BATCH, LARGEST_BATCH = 64, 2048
BATCH_SECONDS = 4.0
# Fewer texts are encoded here: workers take some seconds to load a model, as these do to be read.
WORKER_TEXTS, WORKER_BATCH = 1_000, 64

Encode = Callable[[Sequence[str]], Matrix]
# Encodes lists of texts, about so many, by workers that draw them; yields their vectors in order.
EncodeAll = Callable[[Iterator[Sequence[str]], int], Generator[Matrix, None, None]]


@dataclass(frozen=True)
class Budget:
    """The limit of encoding: texts, seconds, or both, whichever comes first.

    The seconds of an interrupted call count. Without them, the set is the same on every machine.
    """

    seconds: float | None = None
    texts: int | None = None

    @classmethod
    def of(cls, seconds: float | None, texts: int | None) -> Budget:
        """Return the budget of the given limits, positive numbers; of `TEXTS` unless given."""
        if seconds is not None and not 0 < seconds < float("inf"):
            raise InputError(f"seconds is {seconds!r}; expected a number above 0.")
        if texts is not None and (type(texts) is not int or texts < 1):
            raise InputError(f"texts is {texts!r}; expected a whole number from 1 up.")
        return cls(seconds, TEXTS if texts is None else texts)

    def is_spent(self, seconds: float, texts: int) -> bool:
        """Return whether a limit is reached."""
        return (self.seconds is not None and seconds >= self.seconds) or (
            self.texts is not None and texts >= self.texts
        )

    def fitting(self, count: int, done: int) -> int:
        """Return how many of `count` more texts are within the budget."""
        return count if self.texts is None else min(count, self.texts - done)

    def left(self, seconds: float) -> float:
        """Return the seconds that are left after some; infinite without a limit."""
        return float("inf") if self.seconds is None else self.seconds - seconds


@dataclass(frozen=True)
class TeacherVectors:
    """Texts with the teacher's vectors (len(texts), dim), and the seconds of encoding."""

    texts: list[str]
    vectors: Matrix
    seconds: float


class _Batches:
    """Batches of texts within a budget, each drawn when somebody is free to encode it.

    They are of one `size`, or else as large as the speed so far suggests. `seconds` were spent
    until `since`; `drawn` are those whose vectors are still to come.
    """

    def __init__(
        self, texts: Sequence[str], done: int, budget: Budget, seconds: float, size: int | None
    ) -> None:
        self._texts, self._next, self._budget = texts, done, budget
        self._grows, self._size = size is None, size or FIRST_BATCH
        self.seconds, self.since = seconds, clock()
        self.drawn = deque[list[str]]()

    def __iter__(self) -> Iterator[list[str]]:
        while self._next < len(self._texts):
            # Workers are asked for more while others still encode.
            waited = clock() - self.since if self.drawn else 0.0
            if self._budget.is_spent(self.seconds + waited, self._next):
                return
            count = self._budget.fitting(self._size, self._next)
            batch = list(self._texts[self._next : self._next + count])
            self._next += len(batch)
            self.drawn.append(batch)
            yield batch

    def note(self, count: int, spent: float) -> None:
        """Note that `count` texts more are encoded and saved, in `spent` seconds of encoding."""
        self.seconds += spent
        if self._grows:
            time = min(BATCH_SECONDS, self._budget.left(self.seconds))
            fitting = int(count * time / max(spent, 1e-3))
            self._size = max(FIRST_BATCH // 2, min(fitting, 4 * count, LARGEST_BATCH))
        self.since = clock()


def encode_with_budget(
    folder: Path,
    name: str,
    texts: Sequence[str],
    encode: Encode,
    budget: Budget,
    progress: Progress,
    by_workers: EncodeAll | None = None,
) -> TeacherVectors:
    """Encode texts in order until the budget is spent.

    A batch that has begun is completed; the last ones are as small as the time that is left. Every
    few seconds of work are saved in the folder as `NAME-00000.npy`, with the checksum of the texts
    in a JSON file. The parts of an earlier call are reused as far as their texts are the same and
    within the budget. Many texts are encoded `by_workers`, if there are any, in batches of one
    size; the seconds of a part are those since the one before.
    """
    parts = list(_saved(folder, name, texts))
    done = sum(len(part.texts) for part in parts)
    seconds, left = sum(part.seconds for part in parts), budget.fitting(len(texts), 0) - done
    if by_workers and left >= WORKER_TEXTS:
        batches = _Batches(texts, done, budget, seconds, WORKER_BATCH)
        encoded = by_workers(iter(batches), -(-left // WORKER_BATCH))
    else:
        batches = _Batches(texts, done, budget, seconds, None)
        encoded = (encode(some) for some in batches)
    with contextlib.closing(encoded):
        for vectors in encoded:
            part = TeacherVectors(batches.drawn.popleft(), vectors, clock() - batches.since)
            _save(folder, name, len(parts), part)
            parts.append(part)
            done += len(part.texts)
            batches.note(len(part.texts), part.seconds)
            progress(*_progress(budget, batches.seconds, done, len(texts)))
    if not parts:
        return TeacherVectors([], np.zeros((0, 0), np.float32), 0.0)
    vectors = np.concatenate([part.vectors for part in parts])
    # An interrupted call with a larger budget may have encoded more.
    taken = budget.fitting(done, 0)
    return TeacherVectors(list(texts[:taken]), vectors[:taken], batches.seconds)


def _progress(budget: Budget, seconds: float, done: int, total: int) -> tuple[int, int]:
    """Return the progress in percent, by time or by texts, whichever is further."""
    by_time = seconds / budget.seconds if budget.seconds else 0.0
    by_texts = done / budget.fitting(total, 0) if total else 1.0
    return min(100, int(100 * max(by_time, by_texts))), 100


def _saved(folder: Path, name: str, texts: Sequence[str]) -> Iterator[TeacherVectors]:
    """Yield the saved parts up to the first that is missing, damaged or of other texts."""
    done = 0
    for number in itertools.count():
        path = folder / f"{name}-{number:05}.npy"
        try:
            note = json.loads(path.with_suffix(".json").read_bytes())
            vectors = np.load(path)
            batch = list(texts[done : done + len(vectors)])
            if note["texts"] != _checksum(batch):
                return
            yield TeacherVectors(batch, vectors, float(note["seconds"]))
        except (OSError, ValueError, EOFError, KeyError, TypeError):
            return
        done += len(batch)


def _save(folder: Path, name: str, number: int, part: TeacherVectors) -> None:
    path = folder / f"{name}-{number:05}.npy"
    note = {"texts": _checksum(part.texts), "seconds": part.seconds}
    # A part counts only with both files.
    with new_file(path.with_suffix(".json")) as file:
        file.write(json.dumps(note).encode())
    with new_file(path) as file:
        np.save(file, part.vectors)


def _checksum(texts: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def check_similarity(index: str, teacher: Embedder) -> None:
    """Check that a student, which learns directions, can learn how the teacher ranks."""
    if is_sparse(teacher):
        raise InputError(
            f"{teacher.name}, the teacher of '{index}', makes sparse vectors, which no student can "
            "learn. Choose an index of dense vectors."
        )
    if (similarity := similarity_of(teacher)) != COSINE:
        raise InputError(
            f"{teacher.name}, the teacher of '{index}', compares vectors by '{similarity}', and a "
            "student learns only their directions. Choose an index with the similarity 'cosine', "
            "or build one with this model and the option similarity cosine."
        )


def at_precision(teacher: Embedder, precision: str | None) -> tuple[Embedder, str]:
    """Return the teacher at the given precision, or else its own, with the precision's name.

    The fastest one would depend on the machine, and the table on that.
    """
    if isinstance(teacher, ContextualEmbedder):
        teacher = teacher if precision is None else teacher.in_precision(precision)
        return teacher, teacher.precision
    if precision is not None:
        raise InputError(f"{teacher.name} has no choice of precision. Leave it out.")
    return teacher, "its own"
