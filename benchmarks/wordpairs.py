"""Pairs of sentences with one word in both, and how often cosines say rightly if its sense is one.

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
# Cosines that are alike to so many digits are the same: a vector has length 1 only to float32.
DIGITS = 6

Span = tuple[int, int]
Occurrence = tuple[str, Span]
Floats = NDArray[np.floating]
Truths = NDArray[np.bool_]
Rows = Mapping[str, NDArray[np.int64]]


@dataclass(frozen=True)
class Pair:
    """A word in two sentences, each with its place there; and whether it has the same sense.

    `spans` are characters. `lemma` is the word as a dictionary has it.
    """

    lemma: str
    texts: tuple[str, str]
    spans: tuple[Span, Span]
    same: bool

    @property
    def occurrences(self) -> tuple[Occurrence, Occurrence]:
        """Each sentence, with the place of the word in it."""
        return (self.texts[0], self.spans[0]), (self.texts[1], self.spans[1])

    @property
    def forms(self) -> tuple[str, str]:
        """The word as each sentence has it, in lower case."""
        (one, (begin, end)), (other, (start, stop)) = self.occurrences
        return one[begin:end].lower(), other[start:stop].lower()

    @property
    def lemmas(self) -> tuple[str, str]:
        """The word as a dictionary has it, for both sentences."""
        return self.lemma, self.lemma


Pairs = Mapping[str, Sequence[Pair]]


def read_pairs(folder: Path, split: str) -> list[Pair]:
    """The pairs of `train`, `dev` or `test`, in the order of the file.

    Raises:
        ValueError: a line is not as those of WiC are, or there are not as many answers as pairs.
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
    """Where a token begins and ends, of those between white space, counted from 0."""
    return [match.span() for match in re.finditer(r"\S+", text)][index]


# -- judging ------------------------------------------------------------------------------------


def best_threshold(cosines: Floats, same: Truths) -> float:
    """The threshold from which on "the same sense" is right most often.

    It lies between two cosines, or beyond them all; of several as good, the middle one is taken.
    """
    values, places = np.unique(cosines, return_inverse=True)
    right = np.bincount(places, np.where(same, -1, 1), len(values))
    # With the lowest threshold all that is the same is right; each step up loses or wins some.
    right = np.concatenate([[0], np.cumsum(right)])
    best = np.flatnonzero(right == right.max())
    bounds = np.concatenate([[values[0] - 1], values, [values[-1] + 1]])
    place = best[len(best) // 2]
    return float((bounds[place] + bounds[place + 1]) / 2)


def area(cosines: Floats, same: Truths) -> float:
    """How often a pair of one sense has a higher cosine than one of two; ties are half.

    The area under the ROC curve, which needs no threshold.
    """
    ranks, yes, no = rankdata(cosines), int(same.sum()), int((~same).sum())
    return float((ranks[same].sum() - yes * (yes + 1) / 2) / (yes * no))


def same_sense(pairs: Sequence[Pair]) -> Truths:
    """Whether the word has the same sense, (pairs,)."""
    return np.array([pair.same for pair in pairs])


def answers(cosines: Floats, same: Truths, threshold: float) -> dict[str, float]:
    """The share of answers that are right, and that are yes; that of the truth; and the area."""
    yes = np.round(cosines, DIGITS) >= threshold
    return {
        "accuracy": float((yes == same).mean()),
        "said_same": float(yes.mean()),
        "are_same": float(same.mean()),
        "area": area(np.round(cosines, DIGITS), same),
    }


def judge(cosines: Mapping[str, Floats], pairs: Pairs) -> dict[str, Any]:
    """The share of right answers of each split, at the threshold of train; and the areas."""
    same = same_sense(pairs["train"])
    return _judged(cosines, pairs, best_threshold(np.round(cosines["train"], DIGITS), same))


def at_two_digits(cosines: Mapping[str, Floats], pairs: Pairs) -> dict[str, Any]:
    """The same with the best threshold of 0.00, 0.01, ... 1.00, the lowest of several as good."""
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
    """What the pairs have on either side, each once, in order; and its rows, (pairs, 2) a split."""
    names: list[Any] = sorted({one for some in pairs.values() for p in some for one in name(p)})
    place = {one: row for row, one in enumerate(names)}
    rows = {
        split: np.array([[place[one] for one in name(pair)] for pair in pairs[split]])
        for split in SPLITS
    }
    return names, rows


def cosines_of(vectors: Floats, rows: Rows) -> dict[str, Floats]:
    """The cosine of both sides of each pair; 0 where one has a vector of zeros."""
    units = unit(np.asarray(vectors, np.float32))
    return {
        split: np.einsum("ij,ij->i", units[both[:, 0]], units[both[:, 1]])
        for split, both in rows.items()
    }
