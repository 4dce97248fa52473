"""How well word vectors agree with people: analogies, and how alike two words are.

An analogy `a b c d` is right where d is the word nearest to b - a + c in cosine, vectors scaled to
length 1 first and a, b, c left out (Mikolov et al. 2013, "Efficient Estimation of Word
Representations in Vector Space"). Word similarity is Spearman's correlation of cosines with
people's ratings. Files are compared in lower case, as texts are trained.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from indexes.errors import FileFormatError, InputError
from retriever.embedders.base import Matrix, unit

FEWEST = 30
AT_ONCE = 256
SHIPPED = ("questions-words.txt", ("wordsim353.tsv", "simlex999.txt"))
Questions = list[tuple[str, ...]]
Line = TypeVar("Line")


@dataclass(frozen=True)
class WordScore:
    """What came out of one file.

    `measure` is `accuracy` (of analogies) or `spearman` (of similarities); `value` is None where
    fewer than `FEWEST` of its lines have only known words: that would say nothing.
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
            return f"{self.name}: too few known to say anything ({known})"
        label = "right" if self.measure == "accuracy" else "Spearman"
        value = f"{100 * self.value:.1f} %" if self.measure == "accuracy" else f"{self.value:.3f}"
        return f"{self.name}: {value} {label} ({known} known)"


@dataclass(frozen=True)
class ScoreFiles:
    """Files to score by, read and checked; each with its name."""

    analogies: tuple[tuple[str, Questions], ...]
    similarities: tuple[tuple[str, list[tuple[str, str, float]]], ...]

    @classmethod
    def read(
        cls,
        analogies: str | os.PathLike[str] | None,
        similarities: Sequence[str | os.PathLike[str]] | None,
    ) -> ScoreFiles:
        """The files given; where none of a sort was, those that gensim ships, if they are there.

        Raises:
            InputError: a file cannot be read.
            FileFormatError: a line that is no question or no pair, by its number.
        """
        shipped = _shipped()
        first = [shipped / SHIPPED[0]] if analogies is None and shipped else []
        more = [shipped / name for name in SHIPPED[1]] if similarities is None and shipped else []
        asked = [Path(analogies)] if analogies is not None else _there(first)
        rated = [Path(one) for one in similarities] if similarities is not None else _there(more)
        return cls(
            tuple((path.name, _questions(path)) for path in asked),
            tuple((path.name, _ratings(path)) for path in rated),
        )


def score_words(files: ScoreFiles, words: Sequence[str], vectors: Matrix) -> tuple[WordScore, ...]:
    """The scores of word vectors (words, dim) by each file."""
    rows, units = {word: row for row, word in enumerate(words)}, unit(vectors)
    analogies = [_analogies(name, lines, rows, units) for name, lines in files.analogies]
    return (
        *analogies,
        *(_similarity(name, lines, rows, units) for name, lines in files.similarities),
    )


def _analogies(name: str, lines: Questions, rows: dict[str, int], units: Matrix) -> WordScore:
    known = [[rows[word] for word in line] for line in lines if all(word in rows for word in line)]
    if len(known) < FEWEST:
        return WordScore(name, "accuracy", None, len(known), len(lines))
    asked = np.array(known)
    right = sum(
        int(np.count_nonzero(_answers(asked[i : i + AT_ONCE], units) == asked[i : i + AT_ONCE, 3]))
        for i in range(0, len(asked), AT_ONCE)
    )
    return WordScore(name, "accuracy", right / len(asked), len(asked), len(lines))


def _answers(asked: NDArray[np.int64], units: Matrix) -> NDArray[np.int64]:
    a, b, c = (units[asked[:, place]] for place in range(3))
    scores = (b - a + c) @ units.T
    np.put_along_axis(scores, asked[:, :3], -np.inf, axis=1)
    best: NDArray[np.int64] = np.argmax(scores, axis=1)
    return best


def _similarity(
    name: str, lines: list[tuple[str, str, float]], rows: dict[str, int], units: Matrix
) -> WordScore:
    from scipy.stats import spearmanr

    known = [(rows[a], rows[b], rating) for a, b, rating in lines if a in rows and b in rows]
    if len(known) < FEWEST:
        return WordScore(name, "spearman", None, len(known), len(lines))
    first, second, ratings = (np.array(column) for column in zip(*known, strict=True))
    cosines = np.einsum("ij,ij->i", units[first], units[second])
    if not np.ptp(cosines) or not np.ptp(ratings):  # no order to speak of
        return WordScore(name, "spearman", None, len(known), len(lines))
    value = float(spearmanr(ratings, cosines).statistic)
    return WordScore(name, "spearman", value, len(known), len(lines))


# -- files --------------------------------------------------------------------------------------


def _shipped() -> Path | None:
    # Looked up, not imported: importing gensim takes a second.
    spec = importlib.util.find_spec("gensim")
    places = (spec.submodule_search_locations or ()) if spec else ()
    return next((Path(place) / "test" / "test_data" for place in places), None)


def _there(paths: Sequence[Path]) -> list[Path]:
    return [path for path in paths if path.is_file()]


def _questions(path: Path) -> Questions:
    def read(line: str) -> tuple[str, ...]:
        words = tuple(line.split())
        if len(words) != 4:
            raise ValueError
        return words

    return list(_read(path, read, ":", "four words"))


def _ratings(path: Path) -> list[tuple[str, str, float]]:
    def read(line: str) -> tuple[str, str, float]:
        first, second, rating = line.replace(",", "\t").split("\t")
        return first.strip(), second.strip(), float(rating)

    return list(_read(path, read, "#", "two words and a rating, separated by tabs or commas"))


def _read(path: Path, read: Callable[[str], Line], skipped: str, expected: str) -> Iterator[Line]:
    try:
        lines = path.read_text(encoding="utf-8-sig").lower().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}.") from None
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith(skipped):
            continue
        try:
            yield read(line)
        except ValueError:
            raise FileFormatError(f"{path}, line {number}: expected {expected}.") from None
