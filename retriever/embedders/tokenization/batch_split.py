"""Texts cut into pieces, a whole batch at a time and on both cores: the distinct ones, and where.

Nothing here loops over pieces. A piece begins where a table of the 256 bytes says so, and is told
from others by arrow's dictionary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SPACE = ord(" ")
# Memory should not grow with the batch.
CHUNK_CHARACTERS = 1 << 24
# Less than this is cut sooner than a second thread is started.
BLOCK_CHARACTERS = 1 << 19
THREADS = 2

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class SplitRules:
    """How texts are cut.

    `translation` (256 bytes) is applied to their UTF-8 first; spaces separate then. Bytes in
    `alone` are a piece each. `blank` may put spaces for more characters, in place.
    """

    translation: bytes
    alone: bytes = b""
    blank: Callable[[Bytes], None] | None = None


@dataclass(frozen=True)
class SplitBatch:
    """The pieces of some texts, in order.

    `codes` (total,) int32 are positions in `distinct`, an arrow array of strings; `offsets`
    (texts + 1,) int64 says where each text begins and ends among them.
    """

    codes: NDArray[np.int32]
    offsets: NDArray[np.int64]
    distinct: Any


def chunks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Stretches of at most `CHUNK_CHARACTERS` characters, in order; a longer text goes alone."""
    return _stretches(texts, CHUNK_CHARACTERS)


def cut(texts: Sequence[str], how: SplitRules) -> SplitBatch:
    """The pieces of every text.

    Raises:
        UnicodeEncodeError: a text holds a lone surrogate.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    parts = [part for chunk in chunks(texts) for part in _of_chunk(chunk, how)]
    if not parts:
        empty = pa.array([], pa.large_string())
        return SplitBatch(np.zeros(0, np.int32), np.zeros(1, np.int64), empty)
    encoded = pa.chunked_array([part for part, _ in parts])
    if len(parts) > 1:
        encoded = encoded.unify_dictionaries()
    codes = [chunk.indices.to_numpy() for chunk in encoded.chunks]
    counts = np.concatenate([counts for _, counts in parts])
    # Only now, among the distinct ones, are the spaces behind the pieces taken off.
    bare = pc.utf8_rtrim(encoded.chunk(0).dictionary, characters=" ").dictionary_encode()
    return SplitBatch(
        bare.indices.to_numpy()[codes[0] if len(codes) == 1 else np.concatenate(codes)],
        np.concatenate([[0], np.cumsum(counts)]),
        bare.dictionary,
    )


def _stretches(texts: Sequence[str], characters: int) -> Iterator[Sequence[str]]:
    start, size = 0, 0
    for position, text in enumerate(texts):
        if size and size + len(text) > characters:
            yield texts[start:position]
            start, size = position, 0
        size += len(text)
    if start < len(texts):
        yield texts[start:]


def _of_chunk(texts: Sequence[str], how: SplitRules) -> list[tuple[Any, NDArray[np.int64]]]:
    """The chunk in as many blocks as there are threads, where it is worth a thread."""
    characters = sum(map(len, texts))
    if characters < 2 * BLOCK_CHARACTERS:
        return [_of_block(texts, how)]
    blocks = list(_stretches(texts, characters // THREADS + 1))
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(lambda block: _of_block(block, how), blocks))


def _of_block(texts: Sequence[str], how: SplitRules) -> tuple[Any, NDArray[np.int64]]:
    """The pieces, each with the spaces behind it, dictionary-encoded; how many each text has.

    Cutting only where pieces begin saves a copy of all letters: nearly every piece has one space
    behind it or none, so that there are few more distinct ones.
    """
    import pyarrow as pa

    _, offsets, data = pa.array(texts, pa.large_string()).buffers()
    bounds = np.frombuffer(offsets, np.int64)[: len(texts) + 1]
    letters = np.frombuffer(bytearray(data or b"").translate(how.translation), np.uint8)
    if how.blank is not None:
        how.blank(letters)
    starts = _starts(letters, bounds, how.alone)
    pieces = pa.LargeStringArray.from_buffers(
        len(starts), pa.py_buffer(np.append(starts, len(letters))), pa.py_buffer(letters)
    )
    return pieces.dictionary_encode(), np.diff(np.searchsorted(starts, bounds))


def _starts(letters: Bytes, bounds: NDArray[np.int64], alone: bytes) -> NDArray[np.int64]:
    """Where pieces begin: behind a space, at the beginning of a text, at and behind `alone`."""
    inside = letters != SPACE
    starts = inside.copy()
    if alone:
        table = np.zeros(256, np.bool_)
        table[list(alone)] = True
        single = table[letters]
        starts[1:] &= ~inside[:-1] | single[1:] | single[:-1]
    else:
        np.greater(inside[1:], inside[:-1], out=starts[1:])
    firsts = bounds[:-1][bounds[:-1] < len(letters)]
    starts[firsts] = inside[firsts]
    return np.flatnonzero(starts)
