"""Word vectors from files of all common formats; the only module that imports gensim here.

A file is converted once into a memory-mapped form in the user's cache.
"""

from __future__ import annotations

import os
import shutil
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from functools import cached_property, partial
from glob import escape
from io import BytesIO
from itertools import repeat
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from indexes.errors import FileFormatError, InputError, ModelNotAvailableError, pluralize
from retriever.embedders.base import Matrix
from retriever.embedders.cache import write_file_atomic
from retriever.embedders.validation import check_not_pointer
from retriever.embedders.word_vectors import formats, mmap_format
from retriever.embedders.word_vectors.cache import cached, converted_before
from retriever.embedders.word_vectors.fasttext_bin import damaged, validate_fasttext
from retriever.embedders.word_vectors.mmap_format import WordMeta, WordWriter
from retriever.embedders.word_vectors.row_table import RowTable
from retriever.embedders.word_vectors.subwords import Subwords
from retriever.embedders.word_vectors.text_format import text_blocks

ROWS = 65_536
PACKAGED = "package"
# Words above which what follows from all of them is kept in the cache.
MANY = 1 << 15
# Words at once from which on a table finds their rows faster than a dictionary.
BATCH = 256
Arrays = Mapping[str, NDArray[Any]]


class WordVectors:
    """Vectors of words, memory-mapped and read-only.

    `vectors` is float32 (words, dim), in the order of the source; `checksum` is its SHA-256.
    """

    def __init__(self, folder: Path, meta: WordMeta) -> None:
        self.vectors: Matrix = np.load(folder / mmap_format.VECTORS, mmap_mode="r")
        self.dim = meta.dim
        self.checksum = meta.checksum
        self.duplicates = meta.duplicates
        self.has_upper_case = meta.has_upper_case
        self.skipped, self.ending = meta.skipped, meta.ending
        self.subwords: Subwords | None = None
        if meta.ngrams:
            ngrams = np.load(folder / mmap_format.NGRAMS, mmap_mode="r")
            self.subwords = Subwords(ngrams, meta.min_n, meta.max_n)
        self._folder = folder

    def __len__(self) -> int:
        return len(self.vectors)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the words in the order of the source."""
        return iter(self._ids)

    def __contains__(self, word: object) -> bool:
        return word in self._ids

    def __getitem__(self, word: str) -> NDArray[np.float32]:
        """Return the vector (dim,) of a word as it is spelled in the source.

        An unknown word gets its subword vector if the source is a fastText model.

        Raises:
            KeyError: the word has neither a vector nor known subwords.
        """
        row = self._ids.get(word)
        if row is not None:
            return np.array(self.vectors[row])
        if self.subwords is not None:
            vectors, found = self.subwords.vectors_of([word])
            if found[0]:
                return cast("NDArray[np.float32]", vectors[0])
        other = word.lower()
        hint = f" It has '{other}'." if other != word and other in self._ids else ""
        raise KeyError(f"No word '{word}' among these {len(self):,} word vectors.{hint}")

    def row(self, word: str) -> int | None:
        """Return the row in `vectors` of a word as spelled in the source; None if unknown."""
        return self._ids.get(word)

    def occurrences(self, letter: str) -> int:
        """Count a letter in all words; faster than a first word lookup."""
        return (self._folder / mmap_format.WORDS).read_bytes().count(letter.encode())

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on the source, one sentence each."""
        notes = []
        if self.skipped:
            notes.append(f"{pluralize(self.skipped, 'word')} not in UTF-8 left out.")
        if self.ending:
            notes.append(
                f"The file of word vectors ends {self.ending}; if it was cut off, the last number "
                "is wrong."
            )
        return tuple(notes)

    def kept(self, name: str, make: Callable[[], Arrays]) -> Arrays:
        """Return arrays that take long to make, kept in the cache beside the words.

        They follow from the words and `name` alone. A damaged file, by its CRC, is made again; with
        few words, nothing is kept.
        """
        if len(self) < MANY:
            return make()
        path, crc = self._folder / f"{name}.kept", zlib.crc32
        with suppress(OSError):
            data = path.read_bytes()
            if len(data) > 4 and data[:4] == crc(data[4:]).to_bytes(4):
                with np.load(BytesIO(data[4:])) as file:
                    return dict(file)
        arrays, content = make(), BytesIO()
        np.savez(content, **cast("Any", arrays))
        data = content.getvalue()
        with suppress(OSError):
            write_file_atomic(path, crc(data).to_bytes(4) + data)
        return arrays

    @cached_property
    def names(self) -> list[str]:
        """Words in the order of their rows."""
        return list(self._ids)

    def rows(self, words: Sequence[str]) -> list[int]:
        """Return the row of each word, -1 if unknown."""
        return list(map(self._ids.get, words, repeat(-1)))

    def ids(self, distinct: Sequence[str]) -> NDArray[np.int64]:
        """Return the row of each word, -1 if unknown; none has a line break."""
        if len(self) >= MANY and len(distinct) >= BATCH:
            return self._table.rows(distinct)
        return np.fromiter(map(self._ids.get, distinct, repeat(-1)), np.int64, len(distinct))

    @cached_property
    def _table(self) -> RowTable:
        arrays = self.kept(RowTable.NAME, lambda: RowTable.arrays_of(self.names))
        return RowTable(arrays, self._ids.get)

    @cached_property
    def _ids(self) -> dict[str, int]:
        words = (self._folder / mmap_format.WORDS).read_bytes().decode().split("\n")
        words.pop()  # Every word ends with a line break.
        return dict(zip(words, range(len(words)), strict=True))


def load_words(
    path: str | os.PathLike[str], *, trust_pickle: bool = False, skip_bad_words: bool = False
) -> WordVectors:
    """Load word vectors from a Word2Vec, GloVe, fastText or gensim file, also gzipped.

    The format is detected from the content. A folder must be a package: `*_emb.npy` with the
    vectors and `*_index.parquet` with the words. `skip_bad_words` leaves out words that are not
    UTF-8, and counts them, instead of refusing the file.

    Raises:
        FileFormatError: an unknown format or a damaged file; with the file and the line.
        InputError: the file needs `trust_pickle`, or cannot be read.
    """
    path = Path(path)
    try:
        if path.is_dir():
            files = _packaged_files(path)
            for file in files:
                check_not_pointer(file)
            return WordVectors(*cached(files, partial(_convert_package, *files)))
        check_not_pointer(path)
        reading = formats.Reading(skip_bad_words)
        converter = _FileConverter(path, formats.detect(path), reading)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    if converter.format == "gensim" and not trust_pickle:
        # Converted before, with trust: only arrays are read, and nothing is unpickled.
        if found := converted_before(converter.sources()):
            return WordVectors(*found)
        raise InputError(
            f"{path} was saved by gensim with pickle, and loading a pickle can run arbitrary code. "
            "If you trust its source, set trust_pickle=True (-o trust_pickle true)."
        )
    accept = skip_bad_words
    return WordVectors(*cached(converter.sources(), converter.convert, accept_skipped=accept))


def download_from_gensim(name: str) -> Path:
    """Return the file of a gensim-data model, downloaded; or raise `ModelNotAvailableError`."""
    try:
        from gensim import downloader

        # Standard output is for results; gensim would draw its progress there.
        with redirect_stdout(sys.stderr):
            return Path(downloader.load(name, return_path=True))
    except Exception as error:  # gensim raises bare Exception, too
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ModelNotAvailableError(reason[:200]) from None


class _FileConverter:
    """Converter of one file of a known format."""

    def __init__(
        self, path: Path, format_name: formats.WordFormat, reading: formats.Reading
    ) -> None:
        self.path, self.format, self.reading = path, format_name, reading

    def sources(self) -> list[Path]:
        """Return the file, and the arrays that gensim stores next to a large save."""
        arrays = sorted(self.path.parent.glob(f"{escape(self.path.name)}.*.npy"))
        return [self.path, *arrays] if self.format == "gensim" else [self.path]

    def convert(self, writer: WordWriter, checksum: str) -> None:
        subwords = None
        if self.format == "word2vec-binary":
            _add_all(writer, formats.binary_blocks(self.path, self.reading))
        elif self.format in ("word2vec-text", "glove-text"):
            header = self.format == "word2vec-text"
            _add_all(writer, text_blocks(self.path, self.reading, header=header))
        else:
            load = _load_fasttext if self.format == "fasttext-binary" else _load_saved
            with _unpacked(self.path, writer.folder) as plain:
                keyed = load(plain, self.path)
            _add_all(writer, _blocks(keyed.index_to_key, keyed.vectors))
            subwords = _subwords_of(keyed, self.path)
        noticed = self.reading
        writer.finish(
            self.format,
            checksum,
            subwords,
            skipped=noticed.skipped,
            ending=noticed.ending,
        )


def _convert_package(array: Path, index: Path, writer: WordWriter, checksum: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        words = pq.read_table(index, columns=["index"]).column(0).to_pylist()
        vectors = np.load(array, mmap_mode="r")
    except (pa.ArrowException, ValueError, EOFError) as error:
        raise FileFormatError(f"{array.parent}: {error}") from None
    if vectors.ndim != 2 or len(vectors) != len(words) or None in words:
        raise FileFormatError(
            f"{array} has the shape {vectors.shape}; expected a row for each of the "
            f"{len(words):,} words of {index.name}."
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


def _add_all(writer: WordWriter, blocks: Iterator[formats.Block]) -> None:
    for words, vectors in blocks:
        writer.add(words, vectors)


def _blocks(words: list[str], vectors: Matrix) -> Iterator[formats.Block]:
    for start in range(0, len(words), ROWS):
        block = np.asarray(vectors[start : start + ROWS], dtype=np.float32)
        yield words[start : start + ROWS], block


@contextmanager
def _unpacked(path: Path, folder: Path) -> Iterator[Path]:
    """Yield the path of the uncompressed file: itself, or a temporary copy if it is gzip.

    gensim reads a compressed fastText model number by number.
    """
    with formats.open_source(path) as file:
        if not formats.is_gzip(path):
            yield path
            return
        with NamedTemporaryFile(dir=folder) as copy:
            shutil.copyfileobj(file, cast(BinaryIO, copy), 1 << 20)
            copy.flush()
            yield Path(copy.name)


def _load_fasttext(plain: Path, source: Path) -> Any:
    from gensim.models.fasttext import load_facebook_vectors

    validate_fasttext(plain, source)
    try:
        # Numbers that overflow are refused with the word that has them.
        with np.errstate(all="ignore"):
            return load_facebook_vectors(str(plain))
    except (AssertionError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        reason = f"gensim cannot read it ({type(error).__name__}: {error})"
        raise damaged(source, reason) from None


def _load_saved(plain: Path, source: Path) -> Any:
    """Load the word vectors of any gensim save, possibly as part of a model."""
    from gensim.models import KeyedVectors
    from gensim.utils import SaveLoad

    try:
        saved = SaveLoad.load(str(plain))
        keyed = getattr(saved, "wv", saved)
    except Exception as error:  # a damaged pickle may raise anything
        reason = f"{type(error).__name__}: {error}"
        raise FileFormatError(f"{source}: gensim cannot read this save ({reason}).") from None
    is_keyed = isinstance(keyed, KeyedVectors)
    if is_keyed and all(isinstance(word, str) for word in keyed.index_to_key):
        return keyed
    kind = type(saved).__name__
    raise FileFormatError(f"{source} holds a {kind}; expected a gensim model of words.")


def _subwords_of(keyed: Any, path: Path) -> Subwords | None:
    """Return the n-gram vectors of a fastText model; None if it was trained without n-grams.

    Also None for saves of old gensim versions with only some of the buckets, which gensim cannot
    use either.
    """
    vectors = getattr(keyed, "vectors_ngrams", None)
    complete = vectors is not None and 0 < len(vectors) == keyed.bucket
    if not complete or not 0 < keyed.max_n >= keyed.min_n:
        return None
    vectors = np.asarray(vectors, dtype=np.float32)
    blocks = (vectors[start : start + ROWS] for start in range(0, len(vectors), ROWS))
    if not all(np.isfinite(block).all() for block in blocks):
        raise FileFormatError(f"{path}: a subword has a value that is not finite.")
    return Subwords(vectors, int(keyed.min_n), int(keyed.max_n))
