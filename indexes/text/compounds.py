"""Entries of a vocabulary with characters that separate words elsewhere: `c++`, `u.s.`, `covid-19`.

A text is read by them: at each word, from left to right, the longest entry that begins with this
word (or with signs before it) is one word, unless a letter, mark or digit touches it. All other
words are as without entries.

In `mass.` the full stop ends a sentence, or belongs to the word: it belongs to it only where the
vocabulary has `mass.` before `mass`, as being more frequent. So for all `FINAL_MARKS`.

In a batch, no Python loop runs over words. A sign next to a word is looked up with its neighbors
(four bytes before, two after) in a table of those of all entries; the few chunks between whitespace
that may have an entry are deduplicated, and only these are cut.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import chain

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from indexes.text.characters import ASCII_WORDS, SPACE, letters, lower_each
from indexes.text.contexts import Contexts
from indexes.text.normalize import ZWJ, ZWNJ, normalize, normalize_all, without_joiners

FINAL_MARKS = frozenset(".,;:!?")
# Not lower-cased into one character everywhere, or spelled with or without.
_AS_WRITTEN = re.compile(f"[\u0130{ZWJ}{ZWNJ}]")
_RUN = re.compile("[^ ]+")
REMEMBERED = 1 << 15
WINDOW = 24

Bytes = NDArray[np.uint8]
Places = NDArray[np.intp]
Span = tuple[int, int]


class Compounds:
    """Entries of a vocabulary with separators in them, and how texts are read by them.

    `names` are the entries, without whitespace, each with a letter, mark or digit; `row` returns
    the row of the first known spelling of a word, or -1. Entries with `never` in them are left out.
    """

    def __init__(
        self, names: Sequence[str], row: Callable[[str], int], *, lower: bool, never: str = ""
    ) -> None:
        self._row, self._lower, self._never = row, lower, never
        kept = [name for name in names if name[-1] not in FINAL_MARKS or self._is_entry(name)]
        bare = [without_joiners(name) for name in kept if not name.isascii()]
        forms = list(dict.fromkeys([*kept, *bare]))
        # A digit may be written `#`.
        forms += [name.replace("#", "0") for name in forms if "#" in name]
        self._first, self._last = ({name[at] for name in forms} for at in (0, -1))
        self._longest = max(map(len, forms), default=0)
        self._contexts = Contexts(forms)
        self._spans = lru_cache(REMEMBERED)(self._find_spans)
        self._entries = lru_cache(REMEMBERED)(self._find_entries)

    def words_of(self, text: str) -> list[str]:
        """Return the words and entries of one text: the fast twin of `restore` and a split."""
        plain = text.isascii()
        if not plain:
            text = normalize(text)
        words = list[str]()
        for chunk in (lower_each(text) if self._lower else text).split():
            if plain and chunk.isalnum():
                words.append(chunk)
            else:
                words += [self._piece(chunk, *span) for span in self._spans(chunk)]
        return words

    def restore(self, raw: Bytes, shown: Bytes) -> Places:
        """Write the separators inside entries back into `shown`; return where entries begin.

        `raw` is the UTF-8 of texts, each with whitespace at its end; in `shown`, every separator is
        a space.
        """
        at = self._contexts.places(raw, shown)
        if not len(at):
            return at
        begins = _chunk_starts(raw, at)
        first = np.append(True, begins[1:] != begins[:-1])
        begins, ends = begins[first], _chunk_ends(raw, at[first])
        data = raw.tobytes()
        chunks = [data[begin:end] for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)]
        spans = [self._entries(chunk) for chunk in chunks]
        counts = np.fromiter(map(len, spans), np.intp, len(spans))
        bounds = np.array(list(chain.from_iterable(spans)), np.intp).reshape(-1, 2)
        bounds += np.repeat(begins, counts)[:, None]
        sizes = bounds[:, 1] - bounds[:, 0]
        places = np.arange(sizes.sum()) + np.repeat(bounds[:, 0] - np.cumsum(sizes) + sizes, sizes)
        places = places[shown[places] == SPACE]
        shown[places] = raw[places]
        return bounds[:, 0]

    def _find_entries(self, chunk: bytes) -> tuple[Span, ...]:
        """Return the spans of the entries with separators in a chunk, in bytes."""
        text = chunk.decode()
        shown, size = _shown(text), lambda end: len(text[:end].encode())
        found = self._spans(lower_each(text) if self._lower else text)
        return tuple((size(b), size(e)) for b, e in found if " " in shown[b:e])

    def _find_spans(self, chunk: str) -> tuple[Span, ...]:
        shown, free = _shown(chunk), 0
        runs = [match.span() for match in _RUN.finditer(shown)]
        spans = list[Span]()
        for begin, end in runs:
            if begin >= free:
                span = self._longest_at(chunk, shown, begin, free) or (begin, end)
                spans.append(span)
                free = span[1]
        return tuple(spans)

    def _longest_at(self, chunk: str, shown: str, begin: int, free: int) -> Span | None:
        """Return the longest entry whose first word begins at `begin`, from `free` on."""
        best, size = None, 0
        for first in range(free, begin + 1):
            touched = first > 0 and shown[first - 1] != " "
            if first < begin and (touched or chunk[first] not in self._first):
                continue
            for last in range(min(len(chunk), first + self._longest), max(begin, first + size), -1):
                touched = last < len(shown) and shown[last] != " "
                if touched or (shown[last - 1] == " " and chunk[last - 1] not in self._last):
                    continue
                if " " in shown[first:last] and self._is_entry(self._piece(chunk, first, last)):
                    best, size = (first, last), last - first
                    break
        return best

    def _piece(self, chunk: str, begin: int, end: int) -> str:
        piece = chunk[begin:end]
        final = self._lower and piece[-1] == "\u03c3" and len(piece) > 1
        return f"{piece[:-1]}\u03c2" if final else piece

    def _is_entry(self, piece: str) -> bool:
        if (self._never and self._never in piece) or _AS_WRITTEN.search(piece):
            return False
        row = self._row(piece)
        if row < 0 or piece[-1] not in FINAL_MARKS:
            return row >= 0
        return not 0 <= self._row(piece[:-1]) < row


def spelled_with_separators(names: Sequence[str]) -> list[str]:
    """Return the normal forms of entries with a separator, a word, and no whitespace in them."""
    import pyarrow as pa

    _, offsets, data = pa.array(names, pa.large_string()).buffers()
    bounds = np.frombuffer(offsets, np.int64)[: len(names) + 1]
    raw = np.frombuffer(data or b"", np.uint8)
    ascii_words = np.frombuffer(raw.tobytes().translate(ASCII_WORDS), np.uint8)
    odd = np.flatnonzero((ascii_words == SPACE) | (raw >= 0xE2) | (raw == 0xC2))
    rows = np.unique(np.searchsorted(bounds, odd, side="right") - 1)
    found = normalize_all([names[row] for row in rows.tolist()])
    return [name for name in found if _is_compound(name)]


def _is_compound(name: str) -> bool:
    words = _shown(name)
    return " " in words and not words.isspace() and name.split() == [name]


def _shown(chunk: str) -> str:
    """Return a chunk with spaces for separators."""
    if chunk.isascii():
        return chunk.encode().translate(ASCII_WORDS).decode()
    return chunk.translate(letters(lower=False))


def _chunk_starts(raw: Bytes, at: Places) -> Places:
    """Return where the chunks between whitespace begin that hold some places."""
    # A window before the first bytes would be short: whitespace goes before them.
    padded = np.concatenate([np.full(WINDOW, SPACE, np.uint8), raw])
    return at - _steps(padded[::-1], len(raw) - at)


def _chunk_ends(raw: Bytes, at: Places) -> Places:
    """Return where these chunks end."""
    return at + _steps(np.concatenate([raw, np.full(WINDOW, SPACE, np.uint8)]), at)


def _steps(raw: Bytes, at: Places) -> Places:
    """Return the number of bytes from each place to the next whitespace."""
    windows, result, left = sliding_window_view(raw, WINDOW), np.zeros_like(at), np.arange(len(at))
    while len(left):
        blank = windows[at[left] + result[left]] <= SPACE
        size = blank.argmax(axis=1)
        found = blank[np.arange(len(left)), size]
        result[left] += np.where(found, size, WINDOW)
        left = left[~found]
    return result
