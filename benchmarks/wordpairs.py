"""Pairs of sentences that share a word, and how well cosines tell whether its sense is the same.

Word-in-Context: Pilehvar and Camacho-Collados, NAACL 2019.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from retriever.embedders.base import unit

SPLITS = ("train", "dev", "test")
# Cosines equal to this many digits are the same: a vector has length 1 only in float32.
DIGITS = 6

Span = tuple[int, int]
Occurrence = tuple[str, Span]
Floats = NDArray[np.floating]
Truths = NDArray[np.bool_]
Rows = Mapping[str, NDArray[np.int64]]


@dataclass(frozen=True)
class Pair:
    """A word in two sentences, with its position in each, and whether it has the same sense.

    `spans` are in characters. `lemma` is the dictionary form of the word.
    """

    lemma: str
    texts: tuple[str, str]
    spans: tuple[Span, Span]
    same: bool

    @property
    def occurrences(self) -> tuple[Occurrence, Occurrence]:
        """Return each sentence, with the position of the word in it."""
        return (self.texts[0], self.spans[0]), (self.texts[1], self.spans[1])

    @property
    def forms(self) -> tuple[str, str]:
        """Return the word as each sentence has it, in lower case."""
        (one, (begin, end)), (other, (start, stop)) = self.occurrences
        return one[begin:end].lower(), other[start:stop].lower()

    @property
    def lemmas(self) -> tuple[str, str]:
        """Return the lemma, for both sentences."""
        return self.lemma, self.lemma


Pairs = Mapping[str, Sequence[Pair]]


def read_pairs(folder: Path, split: str) -> list[Pair]:
    """Read the pairs of `train`, `dev` or `test`, in the order of the file.

    Raises:
        ValueError: a line does not have WiC's format, or the numbers of answers and pairs differ.
    """
    lines = (folder / f"{split}.data.txt").read_text("utf-8").rstrip("\n").split("\n")
    answers = (folder / f"{split}.gold.txt").read_text("utf-8").split()
    return [_pair(line, answer) for line, answer in zip(lines, answers, strict=True)]


def _pair(line: str, answer: str) -> Pair:
    lemma, _, places, one, other = line.split("\t")
    first, second = places.split("-")
    spans = token_span(one, int(first)), token_span(other, int(second))
    if answer not in ("T", "F"):
        raise ValueError(f"the answer is {answer!r}; expected T or F")
    return Pair(lemma, (one, other), spans, answer == "T")


def token_span(text: str, index: int) -> Span:
    """Return the start and end of a whitespace-separated token, counted from 0."""
    return [match.span() for match in re.finditer(r"\S+", text)][index]


# -- judging ------------------------------------------------------------------------------------


def best_threshold(cosines: Floats, same: Truths) -> float:
    """Return the threshold above which "the same sense" is right most often.

    It lies between two cosines, or beyond all of them; of several equally good, the middle one.
    """
    values, places = np.unique(cosines, return_inverse=True)
    right = np.bincount(places, np.where(same, -1, 1), len(values))
    # At the lowest threshold every positive pair is right; each step up loses or gains some.
    right = np.concatenate([[0], np.cumsum(right)])
    best = np.flatnonzero(right == right.max())
    bounds = np.concatenate([[values[0] - 1], values, [values[-1] + 1]])
    place = best[len(best) // 2]
    return float((bounds[place] + bounds[place + 1]) / 2)


def area(cosines: Floats, same: Truths) -> float:
    """Return how often a pair of the same sense has a higher cosine than another; ties are half.

    The area under the ROC curve, which needs no threshold.
    """
    ranks, yes, no = rankdata(cosines), int(same.sum()), int((~same).sum())
    return float((ranks[same].sum() - yes * (yes + 1) / 2) / (yes * no))


def same_sense(pairs: Sequence[Pair]) -> Truths:
    """Return whether the word has the same sense, (pairs,)."""
    return np.array([pair.same for pair in pairs])


def answers(cosines: Floats, same: Truths, threshold: float) -> dict[str, float]:
    """Return accuracy, the share of yes answers, that of the truth, and the area."""
    yes = np.round(cosines, DIGITS) >= threshold
    return {
        "accuracy": float((yes == same).mean()),
        "said_same": float(yes.mean()),
        "are_same": float(same.mean()),
        "area": area(np.round(cosines, DIGITS), same),
    }


def judge(cosines: Mapping[str, Floats], pairs: Pairs) -> dict[str, Any]:
    """Return the accuracy of each split at the threshold of train, and the areas."""
    same = same_sense(pairs["train"])
    return _judged(cosines, pairs, best_threshold(np.round(cosines["train"], DIGITS), same))


def at_two_digits(cosines: Mapping[str, Floats], pairs: Pairs) -> dict[str, Any]:
    """Return the same with the best threshold of 0.00, 0.01, ... 1.00, ties going to the lowest."""
    same, steps = same_sense(pairs["train"]), np.arange(101) / 100
    right = [int(((cosines["train"] >= step) == same).sum()) for step in steps]
    return _judged(cosines, pairs, float(steps[int(np.argmax(right))]))


def _judged(cosines: Mapping[str, Floats], pairs: Pairs, threshold: float) -> dict[str, Any]:
    found = {
        split: answers(cosines[split], same_sense(pairs[split]), threshold) for split in SPLITS
    }
    return {
        "threshold": threshold,
        **{name: {s: found[s][name] for s in SPLITS} for name in ("accuracy", "area")},
    }


def sides(pairs: Pairs, name: Callable[[Pair], tuple[Any, Any]]) -> tuple[list[Any], Rows]:
    """Return the distinct items of the pairs in order, and their rows, (pairs, 2) per split."""
    names: list[Any] = sorted({one for some in pairs.values() for p in some for one in name(p)})
    place = {one: row for row, one in enumerate(names)}
    rows = {
        split: np.array([[place[one] for one in name(pair)] for pair in pairs[split]])
        for split in SPLITS
    }
    return names, rows


def cosines_of(vectors: Floats, rows: Rows) -> dict[str, Floats]:
    """Return the cosine of both sides of each pair; 0 where one is a vector of zeros."""
    units = unit(np.asarray(vectors, np.float32))
    return {
        split: np.einsum("ij,ij->i", units[both[:, 0]], units[both[:, 1]])
        for split, both in rows.items()
    }
