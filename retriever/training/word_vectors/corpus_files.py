"""The words of a collection's texts on disk, as the training tools read them, with counts.

Each line is a text, its words separated by spaces. Texts are split as `StaticEmbedder` splits them
and lower-cased, so that the trained words are the words looked up later.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from itertools import islice, pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np

from indexes.catalog.document_rows import whole_text
from indexes.document import Document
from indexes.errors import InputError
from indexes.progress import Progress
from indexes.text.words import split

# gensim ignores the rest of a line: https://radimrehurek.com/gensim/models/word2vec.html
LONGEST_LINE = 10_000
# Training reports progress and can be stopped after each file.
WORDS_IN_A_FILE = 1_000_000
TEXTS_AT_ONCE = 2_000
FACTS = "words.json"


@dataclass(frozen=True)
class WordFiles:
    """The texts as words: `files` in order, and `words_of`, the number of words in each.

    `texts` is the number of texts with a word, `counts` the frequency of each distinct word.
    """

    files: tuple[Path, ...]
    words_of: tuple[int, ...]
    texts: int
    counts: dict[str, int]

    @property
    def words(self) -> int:
        """Number of word occurrences, in the vocabulary or not."""
        return sum(self.words_of)


def write_word_files(
    folder: Path, documents: Iterable[Document], total: int, progress: Progress
) -> WordFiles:
    """Write the words of all documents, in order, to files of about a million words."""
    writer = _Writer(folder)
    done, remaining = 0, iter(documents)
    while batch := list(islice(remaining, TEXTS_AT_ONCE)):
        writer.add(list(map(whole_text, batch)))
        done += len(batch)
        progress(done, total)
    return writer.finish()


def read_word_files(folder: Path) -> WordFiles | None:
    """Return the files that `write_word_files` has left in a folder; None unless it completed."""
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
    """Return the words to train, at least two, with their counts: by count, then by spelling."""
    kept = [(word, count) for word, count in counts.items() if count >= min_count]
    kept.sort(key=lambda pair: (-pair[1], pair[0]))
    if len(kept) < 2:
        left = "no word" if not kept else f"only '{kept[0][0]}'"
        raise InputError(
            f"Of the {len(counts):,} distinct words of {place}, {left} occurs at least "
            f"{min_count:,} times; training needs two. Add documents, or lower --min-count "
            "(min_count)."
        )
    return dict(kept[:max_vocab])


class _Writer:
    """Writer of lines of words that starts a new file when one is full, and counts words."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._words_of: list[int] = []
        self._sizes: list[int] = []
        self._counts: Counter[str] = Counter()
        self._texts = 0
        self._file: BinaryIO = BytesIO()  # A placeholder for the first file.

    def add(self, texts: list[str]) -> None:
        words = split(texts, lower=True)
        # Arrow and Python may lower-case newly encoded letters differently; readers of a vocabulary
        # detect upper-case letters with Python's rules.
        distinct = np.array([word.lower() for word in words.distinct], dtype=object)
        counts = np.bincount(words.codes, minlength=len(distinct)).tolist()
        for word, count in zip(distinct.tolist(), counts, strict=True):
            self._counts[word] += count
        spelled = distinct[words.codes].tolist()
        for start, end in pairwise(words.offsets.tolist()):
            if start < end:
                self._texts += 1
                self._write(spelled[start:end])

    def finish(self) -> WordFiles:
        """Write the facts that mark the files as complete, and return them."""
        self._file.close()
        facts = {
            "words_of": self._words_of,
            "sizes": self._sizes,
            "texts": self._texts,
            "counts": self._counts,
        }
        (self._folder / FACTS).write_text(json.dumps(facts, ensure_ascii=False), "utf-8")
        files = tuple(_file(self._folder, number) for number in range(len(self._words_of)))
        return WordFiles(files, tuple(self._words_of), self._texts, dict(self._counts))

    def _write(self, words: list[str]) -> None:
        if not self._words_of or self._words_of[-1] >= WORDS_IN_A_FILE:
            self._file.close()
            self._file = _file(self._folder, len(self._words_of)).open("wb")
            self._words_of.append(0)
            self._sizes.append(0)
        lines = [words[i : i + LONGEST_LINE] for i in range(0, len(words), LONGEST_LINE)]
        data = "".join(f"{' '.join(line)}\n" for line in lines).encode()
        self._file.write(data)
        self._words_of[-1] += len(words)
        self._sizes[-1] += len(data)


def _file(folder: Path, number: int) -> Path:
    return folder / f"words-{number:05}.txt"
