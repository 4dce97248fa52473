"""What the teacher makes of texts: as many as time allows, kept, so that none is encoded twice."""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from indexes.errors import InputError
from indexes.progress import Progress
from indexes.storage.files import new_file
from retriever.embedders.base import Matrix

SECONDS = 120.0
FIRST_BATCH, LARGEST_BATCH = 64, 2048
BATCH_SECONDS = 4.0


@dataclass(frozen=True)
class Budget:
    """When to stop encoding: after so many seconds, or so many texts, whichever comes first.

    Seconds of an interrupted call count. Only `texts` gives the same lessons on every machine.
    """

    seconds: float | None = None
    texts: int | None = None

    @classmethod
    def of(cls, seconds: float | None, texts: int | None) -> Budget:
        """What was asked for; where nothing was, `SECONDS`.

        Raises:
            InputError: seconds or texts below nothing, or no numbers.
        """
        if seconds is not None and not 0 < seconds < float("inf"):
            raise InputError(f"seconds is {seconds!r}; expected a number above 0.")
        if texts is not None and (type(texts) is not int or texts < 1):
            raise InputError(f"texts is {texts!r}; expected a whole number from 1 up.")
        return cls(SECONDS if seconds is None and texts is None else seconds, texts)

    def is_spent(self, seconds: float, texts: int) -> bool:
        """Whether there is no more to spend."""
        return (self.seconds is not None and seconds >= self.seconds) or (
            self.texts is not None and texts >= self.texts
        )

    def fitting(self, count: int, done: int) -> int:
        """How many of `count` more texts are within the budget."""
        return count if self.texts is None else min(count, self.texts - done)


@dataclass(frozen=True)
class TeacherVectors:
    """Texts with the teacher's vectors (len(texts), dim), and the seconds that it took."""

    texts: list[str]
    vectors: Matrix
    seconds: float


def teach(
    folder: Path,
    name: str,
    texts: Sequence[str],
    encode: Callable[[Sequence[str]], Matrix],
    budget: Budget,
    progress: Progress,
) -> TeacherVectors:
    """Encode texts in their order until the budget is spent or they end.

    Every few seconds of work are kept in the folder, as `NAME-00000.npy` and a note with the
    checksum of their texts; what an earlier call kept is taken up as far as the texts are the same,
    and as far as the budget of texts goes.
    """
    parts = list(_kept(folder, name, texts))
    seconds = sum(part.seconds for part in parts)
    done = sum(len(part.texts) for part in parts)
    size = FIRST_BATCH
    while done < len(texts) and not budget.is_spent(seconds, done):
        batch = list(texts[done : done + budget.fitting(size, done)])
        started = time.perf_counter()
        vectors = encode(batch)
        part = TeacherVectors(batch, vectors, time.perf_counter() - started)
        _keep(folder, name, len(parts), part)
        parts.append(part)
        seconds, done = seconds + part.seconds, done + len(batch)
        size = _next_size(len(batch), part.seconds)
        progress(*_progress(budget, seconds, done, len(texts)))
    if not parts:
        return TeacherVectors([], np.zeros((0, 0), np.float32), 0.0)
    vectors = np.concatenate([part.vectors for part in parts])
    # An interrupted call that was given a larger budget may have left more.
    taken = budget.fitting(done, 0)
    return TeacherVectors(list(texts[:taken]), vectors[:taken], seconds)


def _next_size(size: int, seconds: float) -> int:
    fitting = int(size * BATCH_SECONDS / max(seconds, 1e-3))
    return max(FIRST_BATCH // 2, min(fitting, 4 * size, LARGEST_BATCH))


def _progress(budget: Budget, seconds: float, done: int, total: int) -> tuple[int, int]:
    """How far it is, in percent: by time or by texts, whichever is nearer to its end."""
    by_time = seconds / budget.seconds if budget.seconds else 0.0
    by_texts = done / budget.fitting(total, 0) if total else 1.0
    return min(100, int(100 * max(by_time, by_texts))), 100


# -- kept ------------------------------------------------------------------------------------------


def _kept(folder: Path, name: str, texts: Sequence[str]) -> Iterator[TeacherVectors]:
    """The parts that are there, as long as they are whole and belong to the texts."""
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


def _keep(folder: Path, name: str, number: int, part: TeacherVectors) -> None:
    path = folder / f"{name}-{number:05}.npy"
    note = {"texts": _checksum(part.texts), "seconds": part.seconds}
    # Neither counts without the other.
    with new_file(path.with_suffix(".json")) as file:
        file.write(json.dumps(note).encode())
    with new_file(path) as file:
        np.save(file, part.vectors)


def _checksum(texts: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()
