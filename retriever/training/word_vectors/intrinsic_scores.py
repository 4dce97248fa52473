"""Intrinsic evaluation of word vectors: analogies and word similarity.

An analogy `a b c d` is right if d has the highest cosine with b - a + c, computed on unit vectors
with a, b and c excluded (Mikolov et al. 2013, "Efficient Estimation of Word Representations in
Vector Space"). Word similarity is Spearman's correlation of cosines with human ratings. Files are
compared in lower case, as texts are trained.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from indexes.errors import FileFormatError, InputError
from retriever.datasets.lee import gensim_data
from retriever.embedders.base import Matrix, unit

FEWEST = 30
AT_ONCE = 256
SHIPPED = ("questions-words.txt", ("wordsim353.tsv", "simlex999.txt"))
QUESTION, RATING = "four words", "two words and a rating, separated by tabs or commas"
PathLike = str | os.PathLike[str]
Questions = list[tuple[str, ...]]
Line = TypeVar("Line")


@dataclass(frozen=True)
class WordScore:
    """The score on one file.

    `measure` is `accuracy` (of analogies) or `spearman` (of similarities); `value` is None if fewer
    than `FEWEST` lines have only known words.
    """

    name: str
    measure: str
    value: float | None
    known: int
    total: int

    def __str__(self) -> str:
        noun = "questions" if self.measure == "accuracy" else "pairs"
        known = f"{self.known:,} of {self.total:,} {noun}"
        if self.value is None:
            return f"{self.name}: too few known words ({known})"
        label = "right" if self.measure == "accuracy" else "Spearman"
        value = f"{100 * self.value:.1f} %" if self.measure == "accuracy" else f"{self.value:.3f}"
        return f"{self.name}: {value} {label} ({known} known)"


@dataclass(frozen=True)
class ScoreFiles:
    """The parsed files to score by, each with its name."""

    analogies: tuple[tuple[str, Questions], ...]
    similarities: tuple[tuple[str, list[tuple[str, str, float]]], ...]

    @classmethod
    def read(
        cls, analogies: PathLike | None, similarities: Sequence[PathLike] | None
    ) -> ScoreFiles:
        """Read the files; for a kind that is None, those that gensim ships, if installed."""
        questions = _shipped(SHIPPED[0]) if analogies is None else [Path(analogies)]
        pairs = _shipped(*SHIPPED[1]) if similarities is None else list(map(Path, similarities))
        return cls(
            tuple((path.name, _read(path, _question, ":", QUESTION)) for path in questions),
            tuple((path.name, _read(path, _rating, "#", RATING)) for path in pairs),
        )


def score_words(files: ScoreFiles, words: Sequence[str], vectors: Matrix) -> tuple[WordScore, ...]:
    """Score word vectors (words, dim) on each file."""
    table = {word: row for row, word in enumerate(words)}, unit(vectors)
    analogies = (_analogies(name, lines, *table) for name, lines in files.analogies)
    return *analogies, *(_similarity(name, lines, *table) for name, lines in files.similarities)


def _analogies(name: str, lines: Questions, rows: dict[str, int], units: Matrix) -> WordScore:
    known = [[rows[word] for word in line] for line in lines if all(word in rows for word in line)]
    value = None
    if len(known) >= FEWEST:
        batches = np.split(np.array(known), range(AT_ONCE, len(known), AT_ONCE))
        right = sum(np.count_nonzero(_answers(some, units) == some[:, 3]) for some in batches)
        value = right / len(known)
    return WordScore(name, "accuracy", value, len(known), len(lines))


def _answers(questions: NDArray[np.int64], units: Matrix) -> NDArray[np.int64]:
    a, b, c = (units[questions[:, place]] for place in range(3))
    scores = (b - a + c) @ units.T
    np.put_along_axis(scores, questions[:, :3], -np.inf, axis=1)
    return np.asarray(np.argmax(scores, axis=1), np.int64)


def _similarity(
    name: str, lines: list[tuple[str, str, float]], rows: dict[str, int], units: Matrix
) -> WordScore:
    from scipy.stats import spearmanr

    known = [(rows[a], rows[b], rating) for a, b, rating in lines if a in rows and b in rows]
    value = None
    if len(known) >= FEWEST:
        first, second, ratings = (np.array(column) for column in zip(*known, strict=True))
        cosines = np.einsum("ij,ij->i", units[first], units[second])
        if np.ptp(cosines) and np.ptp(ratings):  # Spearman's correlation is defined.
            value = float(spearmanr(ratings, cosines).statistic)
    return WordScore(name, "spearman", value, len(known), len(lines))


def _shipped(*names: str) -> list[Path]:
    folder = gensim_data()
    return [folder / name for name in names if (folder / name).is_file()] if folder else []


def _question(line: str) -> tuple[str, ...]:
    first, second, third, fourth = line.split()
    return first, second, third, fourth


def _rating(line: str) -> tuple[str, str, float]:
    first, second, rating = line.replace(",", "\t").split("\t")
    return first.strip(), second.strip(), float(rating)


def _read(path: Path, parse: Callable[[str], Line], skipped: str, expected: str) -> list[Line]:
    try:
        lines = path.read_text(encoding="utf-8-sig").lower().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"{path} cannot be read: {why}.") from None
    found = []
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith(skipped):
            try:
                found.append(parse(line))
            except ValueError:
                raise FileFormatError(f"{path}, line {number}: expected {expected}.") from None
    return found
