"""Builds of BM25 indexes at a cost that follows the change.

The passages are divided into intervals of keys, each with tantivy's segments of its own. A build
reads only the intervals in which passages were added or many were deleted; the files of the others,
which are immutable, are linked into the new folder. tantivy sums its counts over segments, and a
few deleted passages of a large interval are taken off them (see `deleted`), so scores are those of
one build over all texts.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from indexes.catalog.passages import Passage
from indexes.lexical import bm25, deleted
from indexes.lexical.deleted import Deleted
from indexes.lexical.options import LexicalOptions
from indexes.neighbors import NO_KEY, Keys
from indexes.storage.files import LOCAL_LOCKS, new_file, sync, unwritable
from indexes.threads import sharing

# A query takes a step for each segment: over 100,000 abstracts in 4 or 8 of them, 15 or 28 % more
# CPU time than in one.
INTERVALS, SMALL_ROWS = 4, 8_192
# An interval is read again with the next one, a new one, if it has at most so many times its rows:
# each passage is read again a number of times that grows with the logarithm of the corpus.
GROWTH = 2
# Deleted passages are taken off an interval of more rows than `SMALL_ROWS` divided by this, as long
# as they are at most this share of its rows. One takes the time of reading so many rows.
LEAST, SHARE, COST = 4, 1 / 16, 100
# Any word will do: what it adds is taken off.
FILLER = "filler"
META, MANAGED, LAYOUT = "meta.json", ".managed.json", "intervals.json"


@dataclass(frozen=True)
class Source:
    """The passages to index, before key `stop`: read and counted from a key to before another.

    `keys` are theirs, ascending.
    """

    read: Callable[[int, int], Iterable[Passage]]
    count: Callable[[int, int], int]
    keys: Callable[[int, int], Keys]
    stop: int


@dataclass(frozen=True)
class Interval:
    """The `rows` passages with keys from `first` to before `stop`, in some segments.

    `segments` are tantivy's own records of them; None: they are still to be written. They also hold
    `deleted` passages.
    """

    first: int
    stop: int
    rows: int
    segments: Sequence[Any] | None = None
    deleted: Deleted = field(default_factory=Deleted)


def build(
    folder: Path,
    options: LexicalOptions,
    source: Source,
    progress: Callable[[int], None],
    old: Path | None = None,
    *,
    drop: bool = False,
) -> int:
    """Index passages into a new folder, synced to disk; return how many.

    `old` is the folder of an intact index that has read some of them; with `drop`, intervals that
    hold deleted passages are read again. If it fails, nothing is left behind; a disk that cannot be
    written is a CollectionError.
    """
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        known = _known(old, options) if old else []
        if old and not drop:
            known = _without_deleted(known, source, old, options)
        planned = _planned(known, source, drop=drop)
        intervals = _written(folder, options, planned, source, progress)
        _link(old, folder, intervals)
        _finish(folder, options, intervals)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        # tantivy's own errors are ValueErrors; a passage that cannot be read raises another type.
        if isinstance(error, ValueError | OSError):
            raise unwritable(folder, bm25.reason(error)) from None
        raise
    return sum(one.rows for one in intervals)


def _known(folder: Path, options: LexicalOptions) -> list[Interval]:
    """Return the intervals of an index, none if it reads texts in another way."""
    path = folder / LAYOUT
    layout = json.loads(path.read_bytes()) if path.exists() else {}
    if layout.get("reading") != bm25.reading(options):
        return []
    # An earlier version held no deleted passages.
    return [
        Interval(**one | {"deleted": Deleted(**one.get("deleted", {}))})
        for one in layout["intervals"]
    ]


def _without_deleted(
    known: Sequence[Interval], source: Source, old: Path, options: LexicalOptions
) -> list[Interval]:
    """Return the intervals; from large ones, a few passages deleted since are taken off."""
    counts = [source.count(one.first, one.stop) for one in known]
    few = [_loses_few(one, rows) for one, rows in zip(known, counts, strict=True)]
    if not any(few):
        return list(known)
    index = bm25.load(old, options)
    if not index.explains:
        return list(known)
    result = []
    for one, rows, is_changed in zip(known, counts, few, strict=True):
        if is_changed:
            held = index.keys[slice(*np.searchsorted(index.keys, [one.first, one.stop]))]
            gone = np.setdiff1d(held, source.keys(one.first, one.stop))
            parts = [one.deleted, index.words_of(gone)]
            one = replace(one, rows=rows, deleted=deleted.total(parts))
        result.append(one)
    return result


def _loses_few(one: Interval, rows: int) -> bool:
    gone = one.rows - rows
    small = rows <= SMALL_ROWS // LEAST
    in_all = gone + len(one.deleted.keys)
    return gone > 0 and not small and gone * COST <= rows and in_all <= SHARE * rows


def _planned(known: Sequence[Interval], source: Source, *, drop: bool) -> list[Interval]:
    """Return the intervals of all passages: those that have not changed keep their segments."""
    largest = _largest(source)
    end = known[-1].stop if known else 1
    planned = list[Interval]()
    for one in [*known, Interval(end, source.stop, -1)]:
        rows = source.count(one.first, one.stop)
        keeps = rows == one.rows and not (drop and one.deleted.keys)
        here = one if keeps else Interval(one.first, one.stop, rows)
        while planned and _joins(planned[-1], here, largest):
            before = planned.pop()
            here = Interval(before.first, here.stop, before.rows + here.rows)
        if here.rows:
            planned.append(here)
    return planned


def _largest(source: Source) -> int:
    return max(SMALL_ROWS, -(-source.count(1, source.stop) // INTERVALS))


def _joins(one: Interval, new: Interval, largest: int) -> bool:
    small = one.rows <= GROWTH * new.rows and one.rows + new.rows <= largest
    return new.segments is None and small


def _written(
    folder: Path,
    options: LexicalOptions,
    planned: Sequence[Interval],
    source: Source,
    progress: Callable[[int], None],
) -> list[Interval]:
    """Write the intervals that have no segments yet; return all, with theirs."""
    known = [one for one in planned if one.segments is not None]
    new = [piece for one in planned if one.segments is None for piece in _pieces(one, source)]
    counted = _Counted(sum(one.rows for one in known), progress)
    with sharing() as count:
        for start in range(0, len(new), count):
            some = new[start : start + count]
            passages = [counted(source.read(one.first, one.stop)) for one in some]
            segments = _segments(folder, options, passages)
            known += [replace(one, segments=part) for one, part in zip(some, segments, strict=True)]
    return sorted(known, key=lambda one: one.first)


def _pieces(one: Interval, source: Source) -> Iterator[Interval]:
    """Yield an interval in pieces of as many passages as one may have."""
    keys, largest = source.keys(one.first, one.stop), _largest(source)
    for start in range(0, len(keys), largest):
        some = keys[start : start + largest]
        yield Interval(int(some[0]), int(some[-1]) + 1, len(some))


class _Counted:
    """Counts passages on their way into segments."""

    def __init__(self, before: int, progress: Callable[[int], None]) -> None:
        self._done, self._progress = before, progress
        progress(before)

    def __call__(self, passages: Iterable[Passage]) -> Iterator[Passage]:
        for passage in passages:
            yield passage
            self._done += 1
            self._progress(self._done)


def _segments(
    folder: Path, options: LexicalOptions, passages: Sequence[Iterable[Passage]]
) -> list[Sequence[Any]]:
    """Write passages side by side into segments of their own; return tantivy's records of them."""
    # Of its own each, or tantivy knew of the other segments, and merged them.
    parts = {folder / f"part-{number}": some for number, some in enumerate(passages)}
    for part in parts:
        part.mkdir()
    bm25.write(options, parts)
    return [_moved(part, folder) for part in parts]


def _moved(part: Path, folder: Path) -> Sequence[Any]:
    """Move the files of segments to another folder; return tantivy's records of them."""
    segments: Sequence[Any] = json.loads((part / META).read_bytes())["segments"]
    for path in _files(part, segments):
        path.rename(folder / path.name)
    shutil.rmtree(part)
    return segments


def _files(folder: Path, segments: Sequence[Any]) -> list[Path]:
    """Return the files of some segments in a folder, in order."""
    names = {str(one["segment_id"]).replace("-", "") for one in segments}
    return [path for path in sorted(folder.iterdir()) if path.name.split(".")[0] in names]


def _link(old: Path | None, folder: Path, intervals: Sequence[Interval]) -> None:
    """Link the files of the segments that are kept into a new folder, or copy them."""
    segments = [part for one in intervals for part in one.segments or ()]
    for path in _files(old, segments) if old else ():
        try:
            os.link(path, folder / path.name)
        except OSError:  # not on every file system
            shutil.copyfile(path, folder / path.name)


def _finish(folder: Path, options: LexicalOptions, intervals: Sequence[Interval]) -> None:
    """Write the list of all segments, and wait until every file is on disk."""
    bm25.write(options, {folder: ()})
    meta = json.loads((folder / META).read_bytes())
    meta["segments"] = [part for one in intervals for part in one.segments or ()]
    gone = deleted.total(one.deleted for one in intervals)
    if gone.keys:
        (folder / META).write_text(json.dumps(meta))
        meta["segments"] += _fill(folder, options, gone)
    layout = {"reading": bm25.reading(options), "intervals": [asdict(one) for one in intervals]}
    for name in (*LOCAL_LOCKS, MANAGED, META):
        (folder / name).unlink(missing_ok=True)
    for path in sorted(folder.iterdir()):
        sync(path)
    for name, content in ((META, meta), (LAYOUT, layout)):
        with new_file(folder / name) as file:
            file.write(json.dumps(content).encode())
    for path in (folder, folder.parent, folder.parent.parent):
        sync(path)


def _fill(folder: Path, options: LexicalOptions, gone: Deleted) -> Sequence[Any]:
    """Write which passages are deleted, and filler for them; return the segments of the filler."""
    index = bm25.load(folder, options)
    count, words = gone.filler(index.rows, index.count_words())
    terms = dict.fromkeys(bm25.terms_of(FILLER if words else "", options), 1)
    deleted.total([gone, Deleted([NO_KEY] * count, words, terms)]).write(folder)
    texts = [f"{FILLER} " * words, *[""] * (count - 1)][:count]
    return _segments(folder, options, [[Passage(NO_KEY, text) for text in texts]])[0]
