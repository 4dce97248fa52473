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
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Literal, NoReturn, cast

import numpy as np

from indexes.errors import FileFormatError
from retriever.embedders.base import Matrix
from retriever.embedders.word_vectors.fasttext_bin import looks_like_fasttext

WordFormat = Literal["word2vec-text", "word2vec-binary", "glove-text", "fasttext-binary", "gensim"]
Block = tuple[list[str], Matrix]

HEADER = re.compile(rb"\s*(\d{1,12})[ \t]+(\d{1,6})[ \t]*\r?\n")
NUMBER_BYTES = b"0123456789+-.eE \n"
SAMPLE_BYTES = 1 << 16
SAMPLE_LINES = 100
ROWS = 4096
READ_BYTES = 1 << 20
LONGEST_WORD = 1 << 16


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
    head = _sample(path)
    if looks_like_fasttext(head):
        return "fasttext-binary"
    # Pickle protocols 2 to 5 begin with these bytes; no UTF-8 text does.
    if head[:1] == b"\x80" and 2 <= head[1] <= 5:
        return "gensim"
    header = HEADER.match(head)
    if header and int(header[2]) > 0:
        return "word2vec-text" if _is_text(head[header.end() :]) else "word2vec-binary"
    if _is_text(head) and _width(head) > 0:
        return "glove-text"
    raise FileFormatError(
        f"{path} is not a file of word vectors; expected Word2Vec (text or binary), GloVe text, "
        "fastText (.vec or .bin) or a model saved by gensim."
    )


def text_blocks(path: Path, *, header: bool) -> Iterator[Block]:
    """Yield the rows of a text file in blocks.

    A row is a word and `width` numbers, separated by spaces or tabs. The word may contain spaces,
    as in GloVe's 840B file, but a number after a space means that the row is too long.
    """
    with open_source(path) as file:
        expected, width = _read_header(file, path) if header else (None, _width(_sample(path)))
        numbered = enumerate(file, 2 if header else 1)
        rows = 0
        while lines := list(islice(numbered, ROWS)):
            block = _parse_lines(path, [line for line in lines if line[1].strip()], width)
            rows += len(block[0])
            yield block
    if expected is not None and rows != expected:
        raise FileFormatError(
            f"{path}: its first line promises {expected:,} words, but it holds {rows:,}."
        )


def binary_blocks(path: Path) -> Iterator[Block]:
    """Yield the rows of a Word2Vec binary file in blocks."""
    with open_source(path) as file:
        expected, width = _read_header(file, path)
        reader = _BinaryReader(path, file, width)
        for start in range(0, expected, ROWS):
            yield reader.block(start, min(start + ROWS, expected), expected)
        if (reader.rest() + file.read(READ_BYTES)).strip():
            raise FileFormatError(
                f"{path}: its first line promises {expected:,} words, but there is more after them."
            )


class _BinaryReader:
    """Buffered reader of `word, space, numbers` rows."""

    def __init__(self, path: Path, file: BinaryIO, width: int) -> None:
        self.path, self.file, self.bytes = path, file, 4 * width
        self.buffer, self.position = b"", 0

    def rest(self) -> bytes:
        return self.buffer[self.position :]

    def block(self, start: int, end: int, expected: int) -> Block:
        pairs = [self._row(number + 1, expected) for number in range(start, end)]
        vectors = np.frombuffer(b"".join(numbers for _, numbers in pairs), "<f4")
        vectors = vectors.reshape(len(pairs), -1).astype(np.float32)
        return [word for word, _ in pairs], vectors

    def _row(self, number: int, expected: int) -> tuple[str, bytes]:
        space = self.buffer.find(b" ", self.position)
        while space < 0 or len(self.buffer) < space + 1 + self.bytes:
            self._read_more(number, expected)
            space = self.buffer.find(b" ", self.position)
        word = self.buffer[self.position : space].lstrip(b"\r\n")
        self.position = space + 1 + self.bytes
        try:
            return word.decode(), self.buffer[space + 1 : self.position]
        except UnicodeDecodeError:
            raise FileFormatError(f"{self.path}: word {number:,} is not valid UTF-8.") from None

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


def _read_header(file: BinaryIO, path: Path) -> tuple[int, int]:
    header = HEADER.match(file.readline(256))
    if not header:
        raise FileFormatError(f"{path}, line 1: expected the number of words and their width.")
    return int(header[1]), int(header[2])


def _is_text(sample: bytes) -> bool:
    """Return whether rows are text: mostly digits, or else UTF-8 without control characters."""
    digits = len(sample) - len(sample.translate(None, NUMBER_BYTES))
    if 2 * digits >= len(sample):
        return True
    # The sample may end within a character.
    readable = sample.decode(errors="ignore").encode()
    return len(readable) > len(sample) - 4 and not re.search(rb"[\x00-\x08\x0e-\x1f]", sample)


def _sample(path: Path) -> bytes:
    with open_source(path) as file:
        return file.read(SAMPLE_BYTES)


def _width(sample: bytes) -> int:
    """Return the most common width of the first rows; 0 if they are not rows of numbers."""
    lines = sample.splitlines()
    # The last line of a full sample is truncated.
    complete = lines[:-1] if len(sample) == SAMPLE_BYTES and len(lines) > 1 else lines
    widths = Counter(len(line.split()) - 1 for line in complete[:SAMPLE_LINES] if line.strip())
    width = widths.most_common(1)[0][0] if widths else 0
    numeric = any(all(map(_is_number, line.split()[-width:])) for line in complete[:SAMPLE_LINES])
    return width if width > 0 and numeric else 0


def _is_number(text: bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _parse_lines(path: Path, lines: list[tuple[int, bytes]], width: int) -> Block:
    words, rows = [], []
    for number, line in lines:
        word, *values = line.rsplit(None, width)
        if len(values) != width or (b" " in word and _is_number(word.split()[-1])):
            found = len(line.split()) - 1
            raise FileFormatError(
                f"{path}, line {number}: expected a word and {width} numbers; "
                f"found a word and {found}."
            )
        try:
            rows.append(list(map(float, values)))
            words.append(word.strip().decode())
        except ValueError:
            _refuse_row(path, number, word, values)
    # A number beyond float32 becomes infinite here, and is refused below.
    with np.errstate(over="ignore"):
        vectors = np.array(rows, dtype=np.float32).reshape(len(rows), width)
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        number = lines[bad[0]][0]
        raise FileFormatError(f"{path}, line {number}: a value is not a finite number.")
    return words, vectors


def _refuse_row(path: Path, number: int, word: bytes, values: list[bytes]) -> NoReturn:
    bad = next((value for value in values if not _is_number(value)), None)
    if bad is None:
        raise FileFormatError(f"{path}, line {number}: {word!r} is not valid UTF-8.")
    shown = bad.decode(errors="replace")[:40]
    raise FileFormatError(f"{path}, line {number}: expected a number; found '{shown}'.")
