"""Word vectors, one a word, from any file that people keep them in: the door to gensim.

A file is converted once into a memory-mapped form in the user's cache; from then on it opens in a
moment, whatever its size.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from functools import cached_property
from itertools import repeat
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from indexes.errors import FileFormatError, InputError, ModelNotAvailableError
from retriever.embedders.base import Matrix
from retriever.embedders.word_vectors.cache import cached, converted_before
from retriever.embedders.word_vectors.fasttext_bin import check_fasttext
from retriever.embedders.word_vectors.formats import (
    WordFormat,
    binary_blocks,
    detect,
    is_gzip,
    open_source,
    text_blocks,
)
from retriever.embedders.word_vectors.mmap_format import (
    NGRAMS,
    VECTORS,
    WORDS,
    WordMeta,
    WordWriter,
)
from retriever.embedders.word_vectors.subwords import Subwords

ROWS = 65_536
PACKAGED = "package"


class WordVectors:
    """The vectors of words, memory-mapped and read-only.

    `vectors` is float32 (words, dim), in the order of the source; `checksum` is the source's
    SHA-256. A word has one vector, whatever stands around it.
    """

    def __init__(self, folder: Path, meta: WordMeta) -> None:
        self.vectors: Matrix = np.load(folder / VECTORS, mmap_mode="r")
        self.dim = meta.dim
        self.format = meta.format
        self.checksum = meta.checksum
        self.duplicates = meta.duplicates
        self.has_upper_case = meta.has_upper_case
        self.subwords: Subwords | None = None
        if meta.ngrams:
            ngrams = np.load(folder / NGRAMS, mmap_mode="r")
            self.subwords = Subwords(ngrams, meta.min_n, meta.max_n)
        self._folder = folder

    def __len__(self) -> int:
        return len(self.vectors)

    def __iter__(self) -> Iterator[str]:
        """The words, in the order of the source."""
        return iter(self._ids)

    def __contains__(self, word: object) -> bool:
        return word in self._ids

    def __getitem__(self, word: str) -> NDArray[np.float32]:
        """The vector of a word (dim,), as it is in the source, spelt as it is there.

        An unknown word gets its subword vector where the source is a fastText model.

        Raises:
            KeyError: the word is not in the source, and nothing is known of its parts.
        """
        row = self._ids.get(word)
        if row is not None:
            return np.array(self.vectors[row])
        if self.subwords is not None:
            vectors, found = self.subwords.vectors_of([word])
            if found[0]:
                return cast("NDArray[np.float32]", vectors[0])
        raise KeyError(
            f"No word '{word}' among these {len(self):,} word vectors.{self._hint(word)}"
        )

    def row(self, word: str) -> int | None:
        """The row of a word in `vectors`, spelt as it is there; None where it has none."""
        return self._ids.get(word)

    def occurrences(self, letter: str) -> int:
        """How often a letter occurs in all words together, told sooner than a word is found."""
        return (self._folder / WORDS).read_bytes().count(letter.encode())

    @cached_property
    def names(self) -> list[str]:
        """The words in the order of their rows."""
        return list(self._ids)

    def ids(self, distinct: Sequence[str]) -> NDArray[np.int64]:
        """The row of each word, -1 where it has none."""
        return np.fromiter(map(self._ids.get, distinct, repeat(-1)), np.int64, len(distinct))

    def table(self, distinct: Sequence[str]) -> tuple[NDArray[np.int64], Matrix]:
        """The vectors of those words that have one: (each word's row or -1, the rows).

        A word that the source does not have gets its subword vector where there are subwords.
        """
        ids = self.ids(distinct)
        known = ids >= 0
        # A copy of what is needed, in one piece: far faster to add up than the mapped file.
        vectors = self.vectors[ids[known]]
        if self.subwords is not None and not known.all():
            unknown = np.flatnonzero(~known)
            extra, found = self.subwords.vectors_of([distinct[word] for word in unknown.tolist()])
            rows = np.full(len(ids), -1, np.int64)
            rows[known] = np.arange(len(vectors))
            rows[unknown[found]] = len(vectors) + np.arange(np.count_nonzero(found))
            return rows, np.concatenate([vectors, extra[found]])
        return np.where(known, np.cumsum(known) - 1, -1), np.asarray(vectors)

    def _hint(self, word: str) -> str:
        other = word.lower()
        return f" It has '{other}'." if other != word and other in self._ids else ""

    @cached_property
    def _ids(self) -> dict[str, int]:
        words = (self._folder / WORDS).read_bytes().decode().split("\n")
        words.pop()  # Every word ends with a line break.
        return dict(zip(words, range(len(words)), strict=True))


def load_words(path: str | os.PathLike[str], *, trust_pickle: bool = False) -> WordVectors:
    """The word vectors in a file: Word2Vec, GloVe, fastText or gensim's own, also with `.gz`.

    The format is told by the content. A folder is taken for a package's: `*_emb.npy` with the
    vectors and `*_index.parquet` with the words.

    Raises:
        FileFormatError: it is no such file, or a damaged one; with the file and the line.
        InputError: it needs `trust_pickle`, or cannot be read.
    """
    path = Path(path)
    try:
        if path.is_dir():
            files = _packaged_files(path)
            return WordVectors(*cached(files, _PackageConverter(*files).convert))
        converter = _FileConverter(path, detect(path))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    if converter.format == "gensim" and not trust_pickle:
        # Converted here before, with trust: these are arrays now, and nothing is unpickled.
        if found := converted_before(converter.sources()):
            return WordVectors(*found)
        raise InputError(
            f"{path} was saved by gensim with pickle, and opening a pickle can run any code that "
            "was put into it. If you trust its source, say trust_pickle=True "
            "(-o trust_pickle true)."
        )
    return WordVectors(*cached(converter.sources(), converter.convert))


def download_from_gensim(name: str) -> Path:
    """The file of a gensim-data model, fetched from its hub into gensim's own folder.

    Raises:
        ModelNotAvailableError: no such model, no network, or a damaged download.
    """
    try:
        from gensim import downloader

        # Standard output is for answers; gensim would draw its progress there.
        with redirect_stdout(sys.stderr):
            return Path(downloader.load(name, return_path=True))
    except Exception as error:  # gensim raises bare Exception, too
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ModelNotAvailableError(reason[:200]) from None


class _FileConverter:
    """Converts one file of a known format."""

    def __init__(self, path: Path, format_name: WordFormat) -> None:
        self.path, self.format = path, format_name

    def sources(self) -> list[Path]:
        """The file, and the arrays that gensim puts beside a large save."""
        beside = sorted(self.path.parent.glob(f"{_escaped(self.path.name)}.*.npy"))
        return [self.path, *beside] if self.format == "gensim" else [self.path]

    def convert(self, writer: WordWriter, checksum: str) -> None:
        subwords = None
        if self.format == "word2vec-binary":
            _add_all(writer, binary_blocks(self.path))
        elif self.format in ("word2vec-text", "glove-text"):
            _add_all(writer, text_blocks(self.path, header=self.format == "word2vec-text"))
        else:
            load = _load_fasttext if self.format == "fasttext-binary" else _load_saved
            with _unpacked(self.path, writer.folder) as plain:
                keyed = load(plain, self.path)
            _add_all(writer, _blocks(keyed.index_to_key, keyed.vectors))
            subwords = _subwords_of(keyed)
        writer.finish(self.format, checksum, subwords)


class _PackageConverter:
    """Converts the pair of files that a package carries."""

    def __init__(self, vectors: Path, words: Path) -> None:
        self.vectors, self.words = vectors, words

    def convert(self, writer: WordWriter, checksum: str) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            words = pq.read_table(self.words, columns=["index"]).column(0).to_pylist()
            vectors = np.load(self.vectors, mmap_mode="r")
        except (pa.ArrowException, ValueError, EOFError) as error:
            raise FileFormatError(f"{self.vectors.parent}: {error}") from None
        if vectors.ndim != 2 or len(vectors) != len(words) or None in words:
            raise FileFormatError(
                f"{self.vectors} has the shape {vectors.shape}; expected a row for each of the "
                f"{len(words):,} words of {self.words.name}."
            )
        _add_all(writer, _blocks(words, vectors))
        writer.finish(PACKAGED, checksum)


def _packaged_files(folder: Path) -> tuple[Path, Path]:
    vectors, words = list(folder.glob("*_emb.npy")), list(folder.glob("*_index.parquet"))
    if len(vectors) != 1 or len(words) != 1:
        raise FileFormatError(
            f"{folder} is a folder; expected a file of word vectors, or a folder with one "
            "*_emb.npy and one *_index.parquet."
        )
    return vectors[0], words[0]


def _add_all(writer: WordWriter, blocks: Iterator[tuple[list[str], Matrix]]) -> None:
    for words, vectors in blocks:
        writer.add(words, vectors)


def _blocks(words: list[str], vectors: Matrix) -> Iterator[tuple[list[str], Matrix]]:
    for start in range(0, len(words), ROWS):
        block = np.asarray(vectors[start : start + ROWS], dtype=np.float32)
        yield words[start : start + ROWS], block


@contextmanager
def _unpacked(path: Path, folder: Path) -> Iterator[Path]:
    """The path of the file's plain bytes: its own, or that of a temporary copy if it is gzip.

    gensim reads a packed fastText model number by number.
    """
    with open_source(path) as file:
        if not is_gzip(path):
            yield path
            return
        with NamedTemporaryFile(dir=folder) as copy:
            shutil.copyfileobj(file, cast(BinaryIO, copy), 1 << 20)
            copy.flush()
            yield Path(copy.name)


def _load_fasttext(plain: Path, source: Path) -> Any:
    from gensim.models.fasttext import load_facebook_vectors

    check_fasttext(plain, source)
    return load_facebook_vectors(str(plain))


def _load_saved(plain: Path, source: Path) -> Any:
    """The word vectors of anything that gensim saved: they may be a part of a whole model."""
    from gensim.models import KeyedVectors
    from gensim.utils import SaveLoad

    try:
        saved = SaveLoad.load(str(plain))
        keyed = getattr(saved, "wv", saved)
    except Exception as error:  # a damaged pickle may raise anything
        reason = f"{type(error).__name__}: {error}"
        raise FileFormatError(f"{source}: gensim cannot read this save ({reason}).") from None
    if not isinstance(keyed, KeyedVectors) or not all(
        isinstance(word, str) for word in keyed.index_to_key
    ):
        kind = type(saved).__name__
        raise FileFormatError(f"{source} holds a {kind}; expected a gensim model of words.")
    return keyed


def _subwords_of(keyed: Any) -> Subwords | None:
    """The n-gram vectors of a fastText model; None where it was trained without n-grams.

    Saves of old gensim versions kept only some of the buckets: gensim cannot use these either.
    """
    vectors = getattr(keyed, "vectors_ngrams", None)
    if vectors is None or not 0 < len(vectors) == keyed.bucket:
        return None
    if not 0 < keyed.max_n >= keyed.min_n:
        return None
    return Subwords(np.asarray(vectors, dtype=np.float32), int(keyed.min_n), int(keyed.max_n))


def _escaped(name: str) -> str:
    """A file's name as a pattern that matches only itself."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
