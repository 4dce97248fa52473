"""What a teacher reads for a student within one budget: single tokens, then texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexes.errors import InputError, pluralize
from retriever.embedders.base import Matrix
from retriever.training.distillation.teacher import (
    Budget,
    Encode,
    EncodeAll,
    TeacherVectors,
    encode_with_budget,
)
from retriever.training.job import Stages

# The share of the seconds for tokens before the texts. The most frequent ones come first.
TOKEN_SHARE = 0.5
# Fewer texts leave none to hold out.
FEWEST_TEXTS = 20


@dataclass(frozen=True)
class Teacher:
    """A teacher: its name, its dimension, and its encoders of single tokens and of texts.

    There may be workers that do the same.
    """

    name: str
    dim: int
    encode_tokens: Encode
    encode_texts: Encode
    tokens_by_workers: EncodeAll | None = None
    texts_by_workers: EncodeAll | None = None


@dataclass(frozen=True)
class Reading:
    """The teacher's vectors of tokens and of texts.

    `tokens` has one row per token (vocabulary, dim), `count` of them read, and zeros where `unread`
    (vocabulary,) is true or the token has no text. `seconds` is the teacher's time, `skipped` the
    number of texts that the limit of seconds has left out.
    """

    tokens: Matrix
    count: int
    unread: NDArray[np.bool_]
    texts: TeacherVectors
    seconds: float
    skipped: int


def read(
    folder: Path,
    names: Sequence[str],
    counts: NDArray[np.int64],
    texts: Sequence[str],
    teacher: Teacher,
    budget: Budget,
    stages: Stages,
) -> Reading:
    """Let a teacher read tokens and texts until the budget is spent; resume from the folder.

    `names` is the text of each token, `counts` how often the texts have it. Tokens get a share of
    the seconds, texts the rest, and tokens what texts leave. The limit of texts is theirs alone.

    Raises:
        InputError: the seconds end before there are enough texts.
    """
    distinct = _by_frequency(names, counts)

    def tokens_within(seconds: float | None) -> TeacherVectors:
        with stages(f"encoding single tokens with {teacher.name}") as progress:
            encode, workers = teacher.encode_tokens, teacher.tokens_by_workers
            return encode_with_budget(
                folder, "tokens", distinct, encode, Budget(seconds), progress, workers
            )

    share = None if budget.seconds is None else budget.seconds * TOKEN_SHARE
    tokens = tokens_within(share)
    with stages(f"encoding sentences with {teacher.name}") as progress:
        encode, workers = teacher.encode_texts, teacher.texts_by_workers
        left = Budget(_left(budget, tokens), budget.texts)
        found = encode_with_budget(folder, "texts", texts, encode, left, progress, workers)
    if len(tokens.texts) < len(distinct):
        tokens = tokens_within(_left(budget, found))
    rows, unread = _rows(names, tokens, teacher.dim)
    all_tokens = sum(map(bool, names))
    count = all_tokens - int(unread.sum())
    seconds, wanted = tokens.seconds + found.seconds, budget.fitting(len(texts), 0)
    if len(found.texts) < min(FEWEST_TEXTS, wanted):
        raise InputError(
            f"The teacher read {count:,} of {pluralize(all_tokens, 'token')} and "
            f"{len(found.texts):,} of {pluralize(wanted, 'sentence')} in {seconds:.1f} seconds; at "
            f"least {FEWEST_TEXTS} sentences are needed. Repeat the call with more seconds, "
            "or without a limit; it resumes."
        )
    return Reading(rows, count, unread, found, seconds, wanted - len(found.texts))


def _left(budget: Budget, spent: TeacherVectors) -> float | None:
    return None if budget.seconds is None else budget.left(spent.seconds)


def _by_frequency(names: Sequence[str], counts: NDArray[np.int64]) -> list[str]:
    """Return the distinct texts of tokens, those with the highest count first."""
    order = np.argsort(-counts, kind="stable")
    return list(dict.fromkeys(names[token] for token in order if names[token]))


def _rows(names: Sequence[str], read: TeacherVectors, dim: int) -> tuple[Matrix, NDArray[np.bool_]]:
    """Return the vector of each token, and which have a text that was not read."""
    places = {text: place for place, text in enumerate(read.texts)}
    found = np.array([places.get(name, -1) for name in names], np.int64)
    rows = np.zeros((len(names), dim), np.float32)
    if places:
        rows[found >= 0] = read.vectors[found[found >= 0]]
    return rows, np.array([bool(name) and name not in places for name in names], np.bool_)
