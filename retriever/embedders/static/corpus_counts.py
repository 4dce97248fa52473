"""Word counts and a sample of texts of a corpus, in one pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retriever.embedders.base import check_texts
from retriever.embedders.static.vocabulary import TokenRows, Vocabulary

BATCH_CHARACTERS = 1 << 22
SAMPLED_TEXTS = 20_000
SAMPLED_CHARACTERS = 1 << 25


@dataclass(frozen=True)
class WordCounts:
    """Word counts of a corpus.

    `occurrences` and `texts_with` (vocabulary,) int64 are each row's term and document frequency;
    `others` has both for words without a row, built from subwords. `words` counts all occurrences
    in all `texts`, known or not. `sample` has every text of a short corpus, and every second,
    fourth, ... of a longer one.
    """

    texts: int
    words: int
    occurrences: NDArray[np.int64]
    texts_with: NDArray[np.int64]
    others: dict[str, tuple[int, int]]
    sample: list[str]


class _Sample:
    """A bounded, evenly spaced, deterministic sample of a stream of texts."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._stride, self._met, self._characters = 1, 0, 0

    def add(self, text: str) -> None:
        """Keep or skip a text."""
        if self._met % self._stride == 0:
            self.texts.append(text)
            self._characters += len(text)
            while len(self.texts) > 1 and (
                len(self.texts) > SAMPLED_TEXTS or self._characters > SAMPLED_CHARACTERS
            ):
                self.texts = self.texts[::2]
                self._stride *= 2
                self._characters = sum(map(len, self.texts))
        self._met += 1


def count_words(texts: Iterable[str], vocabulary: Vocabulary) -> WordCounts:
    """Count the words of texts, which are read once; only a sample is kept."""
    if isinstance(texts, str | bytes):
        check_texts(texts)  # raises, and explains why
    rows = len(vocabulary.vectors)
    occurrences, texts_with = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
    others: dict[str, tuple[int, int]] = {}
    number, words, sample = 0, 0, _Sample()
    for batch in _batches(texts):
        check_texts(batch)
        for text in batch:
            sample.add(text)
        bags = vocabulary.bags(batch)
        number, words = number + len(batch), words + bags.occurring
        occurring, with_word = _counts(bags)
        own = bags.ids >= 0
        # Two tokens may share a row.
        np.add.at(occurrences, bags.ids[own], occurring[own])
        np.add.at(texts_with, bags.ids[own], with_word[own])
        for place in np.flatnonzero(~own).tolist():
            word = bags.words[place]
            before = others.get(word, (0, 0))
            others[word] = before[0] + int(occurring[place]), before[1] + int(with_word[place])
    return WordCounts(number, words, occurrences, texts_with, others, sample.texts)


def _counts(bags: TokenRows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each distinct word's occurrences, and the number of texts that contain it."""
    from scipy.sparse import csr_array

    size = len(bags.ids)
    occurring = np.bincount(bags.rows, minlength=size)
    # Summing duplicates leaves each word of a text once.
    ones, shape = np.ones(len(bags.rows), np.int8), (len(bags), size)
    once = csr_array((ones, bags.rows, bags.offsets), shape=shape, copy=True)
    once.sum_duplicates()
    return occurring, np.bincount(once.indices, minlength=size)


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    """Yield lists of texts with at least `BATCH_CHARACTERS` in total."""
    batch: list[str] = []
    characters = 0
    for text in texts:
        batch.append(text)
        characters += len(text) if isinstance(text, str) else 0
        if characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch
