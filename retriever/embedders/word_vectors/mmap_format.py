"""Memory-mapped format of word vectors: writing and integrity check.

vectors.npy    float32 (count, dim)
words.txt      one word per line, in the order of the rows
ngrams.npy     float32 (rows, dim), fastText's subwords only
meta.json      written last; a folder without it is incomplete
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy

from indexes.errors import FileFormatError
from retriever.embedders.base import Matrix
from retriever.embedders.word_vectors.subwords import Subwords

VECTORS, WORDS, NGRAMS, META = "vectors.npy", "words.txt", "ngrams.npy", "meta.json"
VERSION = 1


@dataclass(frozen=True)
class WordMeta:
    """Contents of `meta.json`.

    `checksum` is the source's SHA-256; `duplicates` counts dropped rows of repeated words; `ngrams`
    is the number of subword vectors, 0 for none. `skipped` counts the words that are not UTF-8,
    `ending` says what is odd about the last row of the source, if anything.
    """

    format: str
    checksum: str
    count: int
    dim: int
    duplicates: int
    has_upper_case: bool
    words_crc: int
    ngrams: int = 0
    min_n: int = 0
    max_n: int = 0
    version: int = VERSION
    skipped: int = 0
    ending: str = ""


class WordWriter:
    """Writer of words and vectors into a folder, block by block.

    Only the words are held in memory. The first row of a repeated word is kept.
    """

    def __init__(self, folder: Path, source: Path) -> None:
        self.folder, self.source = folder, source
        self.dim = self.count = self.duplicates = self.words_crc = 0
        self.has_upper_case = False
        self._seen: set[str] = set()
        self._vectors = (folder / VECTORS).open("wb")
        self._words = (folder / WORDS).open("wb")

    def add(self, words: Sequence[str], vectors: Matrix) -> None:
        """Add rows; every block has the same width."""
        self._check(words, vectors)
        if not self.dim:
            self.dim = vectors.shape[1]
            _write_header(self._vectors, 0, self.dim)
        fresh = [position for position, word in enumerate(words) if self._is_new(word)]
        self.duplicates += len(words) - len(fresh)
        if fresh:
            self._vectors.write(np.ascontiguousarray(vectors[fresh], "<f4").data)
            self._write_words([words[position] for position in fresh])

    def finish(
        self,
        format_name: str,
        checksum: str,
        subwords: Subwords | None = None,
        *,
        skipped: int = 0,
        ending: str = "",
    ) -> None:
        """Close the files and write `meta.json`."""
        if not self.count:
            raise FileFormatError(f"{self.source} holds no words.")
        self._vectors.seek(0)
        _write_header(self._vectors, self.count, self.dim)
        self.close()
        of_words = self.count, self.dim, self.duplicates, self.has_upper_case, self.words_crc
        of_subwords = _write_subwords(self.folder, subwords)
        meta = WordMeta(
            format_name, checksum, *of_words, *of_subwords, skipped=skipped, ending=ending
        )
        with (self.folder / META).open("wb") as file:
            file.write(json.dumps(asdict(meta), indent=1).encode())
            _sync(file)

    def close(self) -> None:
        """Sync and close both files."""
        for file in (self._vectors, self._words):
            if not file.closed:
                _sync(file)
                file.close()

    def _check(self, words: Sequence[str], vectors: Matrix) -> None:
        infinite = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(infinite):
            word, number = words[infinite[0]], self.count + self.duplicates + infinite[0] + 1
            raise FileFormatError(
                f"{self.source}: word {number:,} {word!r} has a value that is not finite."
            )
        broken = next((word for word in words if "\n" in word), None)
        if broken is not None:
            raise FileFormatError(f"{self.source}: the word {broken!r} contains a line break.")

    def _is_new(self, word: str) -> bool:
        before = len(self._seen)
        self._seen.add(word)
        return len(self._seen) > before

    def _write_words(self, words: Sequence[str]) -> None:
        text = "".join(f"{word}\n" for word in words)
        self.has_upper_case = self.has_upper_case or text != text.lower()
        self.words_crc = zlib.crc32(text.encode(), self.words_crc)
        self._words.write(text.encode())
        self.count += len(words)


def read_intact(folder: Path) -> WordMeta | None:
    """Read `meta.json`; None unless all files are there, of this version, intact.

    Arrays are checked by their shapes, and the words by their checksum: vectors may be many
    gigabytes.
    """
    try:
        meta = WordMeta(**json.loads((folder / META).read_bytes()))
        rows = {VECTORS: meta.count, **({NGRAMS: meta.ngrams} if meta.ngrams else {})}
        intact = meta.version == VERSION and all(
            np.load(folder / name, mmap_mode="r").shape == (count, meta.dim)
            for name, count in rows.items()
        )
        crc = zlib.crc32((folder / WORDS).read_bytes())
    except (OSError, ValueError, TypeError, EOFError):
        return None
    return meta if intact and crc == meta.words_crc else None


def _write_subwords(folder: Path, subwords: Subwords | None) -> tuple[int, int, int]:
    if subwords is None:
        return 0, 0, 0
    with (folder / NGRAMS).open("wb") as file:
        np.save(file, np.asarray(subwords.vectors, dtype="<f4"))
        _sync(file)
    return len(subwords.vectors), subwords.min_n, subwords.max_n


def _write_header(file: BinaryIO, rows: int, width: int) -> None:
    # numpy pads the header for any number of rows, so it can be rewritten in place.
    header = {"descr": "<f4", "fortran_order": False, "shape": (rows, width)}
    npy.write_array_header_1_0(file, header)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
