"""Format detection and streaming of word vector files.

Word2Vec's two formats are those of Mikolov's C tool (a header line `words width`, then rows of text
or little-endian float32); GloVe writes the same text without the header.
"""

from __future__ import annotations

import codecs
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, cast

import numpy as np

from indexes.errors import FileFormatError
from retriever.embedders.base import Matrix
from retriever.embedders.word_vectors.fasttext_bin import looks_like_fasttext

WordFormat = Literal["word2vec-text", "word2vec-binary", "glove-text", "fasttext-binary", "gensim"]
Block = tuple[list[str], Matrix]

HEADER = re.compile(rb"\s*(\d{1,12})[ \t]+(\d{1,6})[ \t]*\r?\n")
PICKLES = (b"\x80\2", b"\x80\3", b"\x80\4", b"\x80\5")
NUMBER_BYTES = b"0123456789+-.eE \n"
SAMPLE_BYTES = 1 << 16
SAMPLE_LINES = 100
ROWS = 4096
READ_BYTES = 1 << 20
LONGEST_WORD = 1 << 16


@dataclass
class Reading:
    """What is noticed while a file is read, and whether words that are not UTF-8 are left out.

    `skipped` counts these; `ending` says what is odd about the last row, if anything.
    """

    skip_bad_words: bool = False
    skipped: int = 0
    ending: str = ""

    def leave_out(self, place: str) -> None:
        """Count a word that is not UTF-8, or raise `FileFormatError` with its place."""
        if not self.skip_bad_words:
            raise FileFormatError(
                f"{place} is not valid UTF-8. To leave such words out, set skip_bad_words=True "
                "(-o skip_bad_words true)."
            ) from None
        self.skipped += 1


@contextmanager
def open_source(path: Path) -> Iterator[BinaryIO]:
    """Open a file, decompressed if its content is gzip, whatever its name.

    A UTF-8 byte-order mark at the start is skipped; no binary format begins with one.
    """
    with path.open("rb") as raw:
        if not is_gzip(path):
            yield _without_bom(raw)
            return
        try:
            with gzip.GzipFile(fileobj=raw) as unpacked:
                yield _without_bom(cast(BinaryIO, io.BufferedReader(unpacked, READ_BYTES)))
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise FileFormatError(f"{path}: damaged or truncated gzip file ({error})") from None


def is_gzip(path: Path) -> bool:
    """Return whether the content is gzip."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _without_bom(file: BinaryIO) -> BinaryIO:
    if file.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
        file.seek(0)
    return file


def detect(path: Path) -> WordFormat:
    """Detect the format of a file of word vectors by its content."""
    head = sample_of(path)
    if looks_like_fasttext(head):
        return "fasttext-binary"
    # Pickle protocols 2 to 5 begin with these bytes; no UTF-8 text does.
    if head[:2] in PICKLES:
        return "gensim"
    if b"\n" not in head and b"\r" in head.rstrip() and _is_text(head):
        raise FileFormatError(
            f"{path} has carriage returns alone as line ends. Save it with line feeds, for example "
            r"with: tr '\r' '\n'"
        )
    header = HEADER.match(head)
    if header and int(header[2]) > 0:
        return "word2vec-text" if _is_text(head[header.end() :]) else "word2vec-binary"
    if _is_text(head) and width_of(head) > 0:
        return "glove-text"
    raise FileFormatError(
        f"{path} is not a file of word vectors; expected Word2Vec (text or binary), GloVe text, "
        "fastText (.vec or .bin) or a model saved by gensim."
    )


def binary_blocks(path: Path, reading: Reading) -> Iterator[Block]:
    """Yield the rows of a Word2Vec binary file in blocks."""
    with open_source(path) as file:
        expected, width = read_header(file, path)
        reader = _BinaryReader(path, file, width, reading)
        for start in range(0, expected, ROWS):
            yield reader.block(start, min(start + ROWS, expected), expected)
        if (reader.rest() + file.read(READ_BYTES)).strip():
            raise FileFormatError(
                f"{path}: its first line promises {expected:,} words, but there is more after them."
            )


class _BinaryReader:
    """Buffered reader of `word, space, numbers` rows."""

    def __init__(self, path: Path, file: BinaryIO, width: int, reading: Reading) -> None:
        self.path, self.file, self.bytes, self.reading = path, file, 4 * width, reading
        self.buffer, self.position = b"", 0

    def rest(self) -> bytes:
        return self.buffer[self.position :]

    def block(self, start: int, end: int, expected: int) -> Block:
        rows = (self._row(number + 1, expected) for number in range(start, end))
        pairs = [row for row in rows if row is not None]
        vectors = np.frombuffer(b"".join(numbers for _, numbers in pairs), "<f4")
        if start == 0 and _swapped(vectors):
            raise FileFormatError(
                f"{self.path} has big-endian numbers; expected little-endian ones, as word2vec "
                "writes. Convert it with the tool that made it, for example to text."
            )
        vectors = vectors.reshape(len(pairs), self.bytes // 4).astype(np.float32)
        return [word for word, _ in pairs], vectors

    def _row(self, number: int, expected: int) -> tuple[str, bytes] | None:
        """Return a word and its numbers; None if the word is left out."""
        space = self.buffer.find(b" ", self.position)
        while space < 0 or len(self.buffer) < space + 1 + self.bytes:
            self._read_more(number, expected)
            space = self.buffer.find(b" ", self.position)
        word = self.buffer[self.position : space].lstrip(b"\r\n")
        self.position = space + 1 + self.bytes
        try:
            return word.decode(), self.buffer[space + 1 : self.position]
        except UnicodeDecodeError:
            self.reading.leave_out(f"{self.path}: word {number:,}")
            return None

    def _read_more(self, number: int, expected: int) -> None:
        more = self.file.read(max(READ_BYTES, self.bytes))
        self.buffer, self.position = self.rest() + more, 0
        if not more:
            raise FileFormatError(
                f"{self.path} ends in word {number:,}; its first line promises {expected:,} words."
            )
        if self.buffer.find(b" ") < 0 and len(self.buffer) > LONGEST_WORD:
            raise FileFormatError(
                f"{self.path}: word {number:,} does not end; expected Word2Vec binary rows."
            )


def read_header(file: BinaryIO, path: Path) -> tuple[int, int]:
    """Read the header line: the number of words and their width."""
    header = HEADER.match(file.readline(256))
    if not header:
        raise FileFormatError(f"{path}, line 1: expected the number of words and their width.")
    return int(header[1]), int(header[2])


def _swapped(vectors: Matrix) -> bool:
    """Return whether most numbers make sense only with their bytes in the other order."""
    values = vectors[vectors != 0]
    return 2 * _plausible(values) < len(values) < 1.2 * _plausible(values.byteswap())


def _plausible(values: Matrix) -> int:
    """Count the numbers of a size that vectors have."""
    sizes = np.abs(values)
    return int(((sizes > 1e-12) & (sizes < 1e12)).sum())


def _is_text(sample: bytes) -> bool:
    """Return whether rows are text: mostly digits, or else UTF-8 without control characters."""
    digits = len(sample) - len(sample.translate(None, NUMBER_BYTES))
    if 2 * digits >= len(sample):
        return True
    # The sample may end within a character.
    readable = sample.decode(errors="ignore").encode()
    return len(readable) > len(sample) - 4 and not re.search(rb"[\x00-\x08\x0e-\x1f]", sample)


def sample_of(path: Path) -> bytes:
    """Return the first bytes of a file."""
    with open_source(path) as file:
        return file.read(SAMPLE_BYTES)


def width_of(sample: bytes) -> int:
    """Return the most common width of the first rows; 0 if they are not rows of numbers.

    Of equally common ones it is the largest: a row that was cut is shorter than the others.
    """
    lines = sample.splitlines()
    # The last line of a full sample is truncated.
    complete = lines[:-1] if len(sample) == SAMPLE_BYTES and len(lines) > 1 else lines
    rows = [line.split() for line in complete[:SAMPLE_LINES] if line.strip()]
    counts = Counter(len(row) - 1 for row in rows)
    most = max(counts.values(), default=0)
    for width in sorted((width for width in counts if counts[width] == most), reverse=True):
        if width > 0 and any(all(map(is_number, row[-width:])) for row in rows):
            return width
    return 0


def is_number(text: bytes) -> bool:
    """Return whether bytes are a number, as Python writes them."""
    try:
        float(text)
    except ValueError:
        return False
    return b"_" not in text
