"""The words of a collection's texts, on disk as the training tools read them, and how often each.

A line is a text, its words separated by spaces: split as averaged word vectors split texts (see
`embedders/tokens.py`) and lower-cased, so that what is trained is what will be looked up.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np

from indexes.document import Document, passage_text
from indexes.errors import InputError
from indexes.progress import Progress
from retriever.embedders.tokenization.words import split

# gensim reads no more words of a line: https://radimrehurek.com/gensim/models/word2vec.html
LONGEST_LINE = 10_000
# A training reports and can be stopped after each file.
WORDS_IN_A_FILE = 1_000_000
TEXTS_AT_ONCE = 2_000
FACTS = "words.json"


@dataclass(frozen=True)
class WordFiles:
    """The texts as words: `files` in order, and how many words each holds.

    `texts` counts those with a word, `counts` how often each distinct word occurs.
    """

    files: tuple[Path, ...]
    words_of: tuple[int, ...]
    texts: int
    counts: dict[str, int]

    @property
    def words(self) -> int:
        """Words that occur, known or not."""
        return sum(self.words_of)


def write_word_files(
    folder: Path, documents: Iterable[Document], total: int, progress: Progress
) -> WordFiles:
    """The words of all documents, in their order, in files of about a million words."""
    writer = _Writer(folder)
    done = 0
    for batch in _batches(documents):
        writer.add([_text_of(document) for document in batch])
        done += len(batch)
        progress(done, total)
    return writer.finish()


def read_word_files(folder: Path) -> WordFiles | None:
    """What `write_word_files` has left in a folder; None where it did not come to its end."""
    try:
        facts = json.loads((folder / FACTS).read_bytes())
        files = tuple(_file(folder, number) for number in range(len(facts["words_of"])))
        if [file.stat().st_size for file in files] != facts["sizes"]:
            return None
        return WordFiles(files, tuple(facts["words_of"]), facts["texts"], facts["counts"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def vocabulary_of(
    counts: dict[str, int], min_count: int, max_vocab: int | None, place: str
) -> dict[str, int]:
    """The words that are trained and their counts, the most frequent first, equals by spelling.

    Raises:
        InputError: fewer than two are left.
    """
    kept = [(word, count) for word, count in counts.items() if count >= min_count]
    kept.sort(key=lambda pair: (-pair[1], pair[0]))
    if len(kept) < 2:
        left = "no word" if not kept else f"only '{kept[0][0]}'"
        raise InputError(
            f"Of the {len(counts):,} distinct words of {place}, {left} occurs {min_count:,} times "
            "or more; a training needs two. Add documents, or lower --min-count (min_count)."
        )
    return dict(kept[:max_vocab])


def _text_of(document: Document) -> str:
    return passage_text(document.title, document.text, 0, len(document.text))


def _batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    batch: list[Document] = []
    for document in documents:
        batch.append(document)
        if len(batch) == TEXTS_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


class _Writer:
    """Writes lines of words, a new file whenever one is full, and counts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._words_of: list[int] = []
        self._sizes: list[int] = []
        self._counts: dict[str, int] = {}
        self._texts = 0
        self._open: BinaryIO | None = None

    def add(self, texts: list[str]) -> None:
        words = split(texts, lower=True)
        # Arrow's lower case and Python's may differ in a new letter: by Python's is told whether a
        # vocabulary has upper-case letters at all.
        distinct = np.array([word.lower() for word in words.distinct], dtype=object)
        counts = np.bincount(words.codes, minlength=len(distinct)).tolist()
        for word, count in zip(distinct.tolist(), counts, strict=True):
            self._counts[word] = self._counts.get(word, 0) + count
        spelt = distinct[words.codes].tolist()
        starts = words.offsets.tolist()
        for start, end in pairwise(starts):
            if start < end:
                self._texts += 1
                self._write(spelt[start:end])

    def finish(self) -> WordFiles:
        """Writes what makes the files count; gives them."""
        self._close()
        facts = {
            "words_of": self._words_of,
            "sizes": self._sizes,
            "texts": self._texts,
            "counts": self._counts,
        }
        (self._folder / FACTS).write_text(json.dumps(facts, ensure_ascii=False), "utf-8")
        files = tuple(_file(self._folder, number) for number in range(len(self._words_of)))
        return WordFiles(files, tuple(self._words_of), self._texts, self._counts)

    def _write(self, words: list[str]) -> None:
        if self._open is None or self._words_of[-1] >= WORDS_IN_A_FILE:
            self._next_file()
        lines = [words[i : i + LONGEST_LINE] for i in range(0, len(words), LONGEST_LINE)]
        data = "".join(f"{' '.join(line)}\n" for line in lines).encode()
        if self._open is not None:
            self._open.write(data)
        self._words_of[-1] += len(words)
        self._sizes[-1] += len(data)

    def _next_file(self) -> None:
        self._close()
        self._open = _file(self._folder, len(self._words_of)).open("wb")
        self._words_of.append(0)
        self._sizes.append(0)

    def _close(self) -> None:
        if self._open is not None:
            self._open.close()


def _file(folder: Path, number: int) -> Path:
    return folder / f"words-{number:05}.txt"
