"""Word counts and a sample of texts of a corpus, in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
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


@dataclass(frozen=True, eq=False)
class TextCounts:
    """Word counts of some texts, as `WordCounts`; those of parts of a corpus add up to its own.

    `rows` (met,) int64 are the vocabulary's rows that occur, ascending, with their frequencies.
    """

    texts: int
    words: int
    rows: NDArray[np.int64]
    occurrences: NDArray[np.int64]
    texts_with: NDArray[np.int64]
    others: dict[str, tuple[int, int]]


# From lists of texts to the counts of each.
CountAll = Callable[[Iterator[Sequence[str]]], Iterable[TextCounts]]


def count_words(
    texts: Iterable[str], vocabulary: Vocabulary, count_all: CountAll | None = None
) -> WordCounts:
    """Count the words of texts, which are read once; only a sample is kept.

    `count_all` counts elsewhere, as `counts_of` does. Counts are integers, so that their sums are
    the same in any order, and the sample is drawn here: the result is the same to the last bit.
    """
    if isinstance(texts, str | bytes):
        check_texts(texts)  # raises, and explains why
    rows, sample = len(vocabulary.vectors), _Sample()
    occurrences, texts_with = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
    others: dict[str, tuple[int, int]] = {}
    number, words = 0, 0
    batches = _sampled(texts, sample)
    each = (counts_of(batch, vocabulary) for batch in batches)
    for part in count_all(batches) if count_all else each:
        number, words = number + part.texts, words + part.words
        occurrences[part.rows] += part.occurrences
        texts_with[part.rows] += part.texts_with
        for word, (often, having) in part.others.items():
            before = others.get(word, (0, 0))
            others[word] = before[0] + often, before[1] + having
    return WordCounts(number, words, occurrences, texts_with, others, sample.texts)


def counts_of(texts: Sequence[str], vocabulary: Vocabulary) -> TextCounts:
    """Count the words of some texts."""
    bags = vocabulary.bags(texts)
    occurring, with_word = _counts(bags)
    own = bags.ids >= 0
    # Two tokens may share a row.
    rows, places = np.unique(bags.ids[own], return_inverse=True)
    occurrences, texts_with = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
    np.add.at(occurrences, places, occurring[own])
    np.add.at(texts_with, places, with_word[own])
    others = {
        bags.words[place]: (int(occurring[place]), int(with_word[place]))
        for place in np.flatnonzero(~own).tolist()
    }
    counted = rows.astype(np.int64), occurrences, texts_with
    return TextCounts(len(texts), bags.occurring, *counted, others)


def _sampled(texts: Iterable[str], sample: _Sample) -> Iterator[list[str]]:
    """Yield batches of texts, checked, and add them to a sample."""
    for batch in _batches(texts):
        check_texts(batch)
        for text in batch:
            sample.add(text)
        yield batch


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
