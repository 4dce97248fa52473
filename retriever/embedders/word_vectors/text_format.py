"""Streaming of word vectors as text: a word and its numbers per line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NoReturn

import numpy as np

from indexes.errors import FileFormatError
from retriever.embedders.word_vectors.formats import (
    ROWS,
    Block,
    Reading,
    is_number,
    open_source,
    read_header,
    sample_of,
    width_of,
)

# Rows at the end whose numbers are compared with the last one, and how many numbers say enough.
LAST_ROWS, ENOUGH, FEW = 100, 100, 3
# A number of a vector even where a word may hold digits: `66` of `route 66` is none.
DECIMALS = re.compile(rb"[-+]?\d*\.\d{3,}")


def text_blocks(path: Path, reading: Reading, *, header: bool) -> Iterator[Block]:
    """Yield the rows of a text file in blocks.

    A row is a word and `width` numbers, separated by spaces or tabs. The word may contain spaces,
    as in GloVe's 840B file, but not the numbers of a row that is too long or has no end.
    """
    with open_source(path) as file:
        expected, width = read_header(file, path) if header else (None, width_of(sample_of(path)))
        numbered = enumerate(file, 2 if header else 1)
        rows, end = 0, list[tuple[int, bytes]]()
        while lines := list(islice(numbered, ROWS)):
            end = lines[-LAST_ROWS:]
            lines = [line for line in lines if line[1].strip()]
            rows += len(lines)
            yield _parse_lines(path, lines, width, reading)
    if expected is not None and rows != expected:
        raise FileFormatError(
            f"{path}: its first line promises {expected:,} words, but it holds {rows:,}."
        )
    end = [(number, line) for number, line in end if line.strip()]
    if end:
        reading.ending = _ending(path, end, width)


def _parse_lines(path: Path, lines: list[tuple[int, bytes]], width: int, reading: Reading) -> Block:
    words, rows, numbers = [], [], []
    for number, line in lines:
        word, *values = line.rsplit(None, width)
        if len(values) != width:
            _refuse_width(f"{path}, line {number}", len(line.split()) - 1, width)
        if len(tokens := word.split()) > 1:
            _check_spaced(f"{path}, line {number}", tokens, width)
        try:
            if b"_" in line and b"_" in b"".join(values):  # Python reads 1_0 as 10
                _refuse_number(f"{path}, line {number}", values)
            row = list(map(float, values))
            words.append(word.strip().decode())
        except UnicodeDecodeError:
            reading.leave_out(f"{path}, line {number}: {word!r}")
            continue
        except ValueError:
            _refuse_number(f"{path}, line {number}", values)
        rows.append(row)
        numbers.append(number)
    # A number beyond float32 becomes infinite here, and is refused below.
    with np.errstate(over="ignore"):
        vectors = np.array(rows, dtype=np.float32).reshape(len(rows), width)
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        number = numbers[bad[0]]
        raise FileFormatError(f"{path}, line {number}: a value is not a finite number.")
    return words, vectors


def _check_spaced(place: str, tokens: list[bytes], width: int) -> None:
    """Refuse a word with spaces that holds numbers of the row, or of another row."""
    numeric = [is_number(token) for token in tokens[1:]]
    if numeric[-1]:
        _refuse_width(place, width + len(tokens) - 1, width)
    if sum(numeric) >= max(1, width - 1) or any(map(DECIMALS.match, tokens[1:])):
        raise FileFormatError(
            f"{place}: the word {b' '.join(tokens)[:80]!r} holds numbers; expected one row of a "
            f"word and {width} numbers. Is a line break missing?"
        )


def _ending(path: Path, end: list[tuple[int, bytes]], width: int) -> str:
    """Return what is odd about the last row, or refuse it if its last number is cut off.

    It is if it is shorter than all others: at least `ENOUGH` of the last rows, since numbers
    without their last zeros differ in length; without a line break, the others of the row are
    enough. With fewer, of at least two decimals, it is only odd, and so is a row without a line
    break, or without the space before it that all others have, as word2vec and fastText write.
    """
    *others, last = [_decimals(value) for _, line in end for value in line.split()[-width:]]
    row = others[len(others) + 1 - width :]
    unended = not end[-1][1].endswith(b"\n")
    choices = [others] * (len(others) >= ENOUGH) + [row] * (unended and len(row) > 1)
    if any(last < values[0] and len(set(values)) == 1 for values in choices):
        raise FileFormatError(
            f"{path}, line {end[-1][0]}: the file ends inside the last number: the others have "
            f"{others[-1]} decimals. Download or create it again."
        )
    if unended:
        return "without a line break"
    if len(others) >= FEW and len(set(others)) == 1 and last < others[0] and others[0] > 1:
        return "with a number that is shorter than all others"
    spaced = [line.rstrip(b"\r\n").endswith((b" ", b"\t")) for _, line in end]
    missing = len(spaced) > 1 and all(spaced[:-1]) and not spaced[-1]
    return "without the space of all other lines" if missing else ""


def _decimals(value: bytes) -> int:
    return len(value.partition(b".")[2])


def _refuse_width(place: str, found: int, width: int) -> NoReturn:
    raise FileFormatError(
        f"{place}: expected a word and {width} numbers; found a word and {found}."
    )


def _refuse_number(place: str, values: list[bytes]) -> NoReturn:
    bad = next(value for value in values if not is_number(value))
    shown = bad.decode(errors="replace")[:40]
    raise FileFormatError(f"{place}: expected a number; found '{shown}'.")
