"""Co-occurrence counts of word pairs, weighted by 1/distance, in bounded memory.

The counts of each file of words become a sorted run on disk. The runs are merged one key range at
a time, and the merged pairs are distributed at random over files that each fit in memory, so that
training sees the pairs in random order. As in GloVe's own tool, words outside the vocabulary are
removed before distances are counted, and no pair spans two lines.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexes.progress import Progress
from indexes.text.words import split
from retriever.training.word_vectors.corpus_files import LONGEST_LINE

# `first <= second`; `count` is the entry of the symmetric matrix, (first, second) and its mirror.
PAIR = np.dtype([("first", "<i4"), ("second", "<i4"), ("count", "<f4")])
PAIRS_IN_A_FILE = 4_000_000
MERGED_AT_ONCE = 8_000_000
FACTS = "pairs.json"
Counts = tuple[NDArray[np.int64], NDArray[np.float64]]


@dataclass(frozen=True)
class Pairs:
    """The `total` distinct pairs of words that occur together, in `files` of `PAIR` records."""

    files: tuple[Path, ...]
    total: int


def count_pairs(
    folder: Path,
    files: Sequence[Path],
    vocabulary: Mapping[str, int],
    window: int,
    seed: int,
    progress: Progress,
) -> Pairs:
    """Count the pairs of all files of words in random order, or reuse complete earlier counts."""
    if (counted := _read(folder)) is not None:
        return counted
    rows = {word: row for row, word in enumerate(vocabulary)}
    runs = []
    for number, file in enumerate(files):
        keys, counts = count_file(file, rows, window)
        runs.append((folder / f"run-{number}-keys.npy", folder / f"run-{number}-counts.npy"))
        np.save(runs[-1][0], keys)
        np.save(runs[-1][1], counts)
        progress(number + 1, len(files))
    pairs = _distribute(folder, runs, len(rows), np.random.default_rng(seed))
    for path in (path for run in runs for path in run):
        path.unlink()
    (folder / FACTS).write_text(json.dumps({"files": len(pairs.files), "total": pairs.total}))
    return pairs


def _read(folder: Path) -> Pairs | None:
    """Return the pairs that `count_pairs` has left in a folder; None unless it completed."""
    try:
        facts = json.loads((folder / FACTS).read_bytes())
        files = tuple(_file(folder, number) for number in range(facts["files"]))
        size = sum(file.stat().st_size for file in files)
        complete = size == facts["total"] * PAIR.itemsize
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Pairs(files, facts["total"]) if complete else None


def _file(folder: Path, number: int) -> Path:
    return folder / f"pairs-{number:05}.bin"


def count_file(file: Path, rows: Mapping[str, int], window: int) -> Counts:
    """Count the pairs of one file: (keys, counts), keys ascending, key = first * words + second."""
    window = min(window, LONGEST_LINE)  # No two words are further apart; keys must fit 63 bits.
    words = split(file.read_text("utf-8").splitlines(), lower=False)
    row_of = np.array([rows.get(word, -1) for word in words.distinct], dtype=np.int64)
    codes = row_of[words.codes]
    lines = np.repeat(np.arange(len(words)), np.diff(words.offsets))
    known = codes >= 0
    codes, lines = codes[known], lines[known]
    parts = []
    for distance in range(1, min(window, len(codes) - 1) + 1):
        left, right = codes[:-distance], codes[distance:]
        together = lines[:-distance] == lines[distance:]
        first, second = np.minimum(left, right)[together], np.maximum(left, right)[together]
        # The key includes the distance: sorting integers is far faster than sorting pairs.
        parts.append((first * len(rows) + second) * window + (distance - 1))
    packed = np.concatenate(parts or [np.zeros(0, np.int64)])
    packed.sort()
    keys, distances = np.divmod(packed, window)
    keys, counts = _added(keys, 1.0 / (distances + 1))
    # A word paired with itself is its own mirror: both entries are the same one.
    counts[keys // len(rows) == keys % len(rows)] *= 2
    return keys, counts


def _added(keys: NDArray[np.int64], counts: NDArray[np.float64]) -> Counts:
    """Add up the counts of equal keys; keys ascending."""
    if not len(keys):
        return keys, counts
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    return keys[starts], np.add.reduceat(counts, starts)


def _distribute(
    folder: Path, runs: Sequence[tuple[Path, Path]], words: int, random: np.random.Generator
) -> Pairs:
    """Merge the runs and put every pair into one of the files at random."""
    upper = sum(np.load(keys, mmap_mode="r").shape[0] for keys, _ in runs)
    files = [_file(folder, number) for number in range(-(-upper // PAIRS_IN_A_FILE) or 1)]
    for file in files:
        file.write_bytes(b"")
    total = 0
    for keys, counts in _merged(runs, words):
        pairs = np.empty(len(keys), PAIR)
        pairs["first"], pairs["second"] = np.divmod(keys, words)
        pairs["count"] = counts
        places = random.integers(len(files), size=len(keys))
        for place, file in enumerate(files):
            with file.open("ab") as out:
                pairs[places == place].tofile(out)
        total += len(keys)
    for file in files:
        shuffled = np.fromfile(file, PAIR)
        random.shuffle(shuffled)
        shuffled.tofile(file)
    return Pairs(tuple(files), total)


def _merged(runs: Sequence[tuple[Path, Path]], words: int) -> Iterator[Counts]:
    """Yield the added-up runs by ascending key, some million entries at a time."""
    mapped = [[np.load(path, mmap_mode="r") for path in run] for run in runs]
    for start, end in _key_ranges([keys for keys, _ in mapped], words):
        parts = []
        for keys, counts in mapped:
            low, high = np.searchsorted(keys, [start, end])
            parts.append((keys[low:high], counts[low:high]))
        together = np.concatenate([keys for keys, _ in parts])
        # Stable: equal keys are added in the order of the files, so that sums repeat to the bit.
        order = np.argsort(together, kind="stable")
        yield _added(together[order], np.concatenate([counts for _, counts in parts])[order])


def _key_ranges(runs: Sequence[NDArray[np.int64]], words: int) -> Iterator[tuple[int, int]]:
    """Yield key ranges that hold about `MERGED_AT_ONCE` entries each."""
    total = sum(map(len, runs))
    # Quantiles of a sample of all runs are accurate enough.
    step = max(1, total // 100_000)
    sample = np.sort(np.concatenate([np.asarray(keys[::step]) for keys in runs]))
    ranges = max(1, -(-total // MERGED_AT_ONCE))
    cuts = [int(sample[len(sample) * n // ranges]) for n in range(1, ranges)]
    return pairwise([0, *cuts, words * words])
