"""Entries of a vocabulary with characters that separate words elsewhere: `c++`, `u.s.`, `covid-19`.

A text is read by them: at each word, from left to right, the longest entry that begins with this
word (or with signs before it) is one word, unless a letter, mark or digit touches it. All other
words are as without entries.

Hyphens are as between words where all parts are words or entries of their own: `two-dimensional` is
read as `two` and `dimensional` even if it is an entry, `covid-19` as one word if `covid` is none.
Queries spell such words either way. nDCG@10 of GloVe's 50 dimensions, if entries are not looked up,
if those of known parts are, and if they are not (as here): Cranfield 0.155, 0.153, 0.158, SciFact
0.134, 0.135, 0.138; with idf, 0.149, 0.142, 0.149 and 0.172, 0.167, 0.172.

In `mass.` the full stop ends a sentence, or belongs to the word: it belongs to it only where the
vocabulary has `mass.` before `mass`, as being more frequent. So for all `FINAL_MARKS`. Brackets and
quotation marks around a word never belong to it.

In a batch, every sign that may belong to an entry, by its neighbors (see `contexts.py`), is first
taken for a letter. Of the few distinct words that this makes, only those that are no entry are cut.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from indexes.text.characters import ASCII_WORDS, letters, lower_each, separators
from indexes.text.contexts import Bytes, Contexts, Places, Tables
from indexes.text.normalize import ZWJ, ZWNJ, normalize, normalize_all, without_joiners

FINAL_MARKS = frozenset(".,;:!?")
# Around a word, these are the text's.
BRACKETS = frozenset('()[]{}<>"')
# Words with their pieces that are kept, at most.
REMEMBERED = 1 << 15
# Characters without whitespace, above which all pieces are too many to look up.
LONG = 64
_SIGNS = string.punctuation
_ALPHANUMERIC = f"{string.ascii_letters}{string.digits}".encode()
# Not lower-cased into one character everywhere, or spelled with or without.
_AS_WRITTEN = re.compile(f"[\u0130{ZWJ}{ZWNJ}]")
_RUN = re.compile("[^ ]+")

Span = tuple[int, int]


@dataclass(frozen=True)
class _Limits:
    """What entries have in common: with it, fewer pieces of a text are looked up.

    `first` and `last` are the characters at their ends, `longest` the length of the longest;
    `edged` are those with signs at their ends, without them, in lower case.
    """

    first: set[str]
    last: set[str]
    edged: set[str]
    longest: int

    @classmethod
    def of(cls, names: Sequence[str]) -> _Limits:
        ends = [name for name in names if not (name[0].isalnum() and name[-1].isalnum())]
        bare = {name: name.strip(_SIGNS) for name in map(str.lower, ends)}
        edged = {core for name, core in bare.items() if core != name}
        first, last = ({name[at] for name in names} for at in (0, -1))
        return cls(first, last, edged, max(map(len, names), default=0))


class Compounds:
    """Entries of a vocabulary with separators in them, and how texts are read by them.

    `names` returns the entries, without whitespace, each with a letter, mark or digit; `row`
    returns the row of the first known spelling of a word, or -1, and `entry` that of a row. Entries
    with `never` in them are left out. With `marks_digits`, an entry may have `#` for each digit.

    A single short text is read by looking pieces up; what all entries have in common, which takes
    as long to find as a vocabulary to open, is needed for batches only.
    """

    def __init__(
        self,
        names: Callable[[], Sequence[str]],
        row: Callable[[str], int],
        entry: Callable[[int], str],
        *,
        lower: bool,
        never: str = "",
        marks_digits: bool = False,
        kept: Callable[[Callable[[], Tables]], Tables] = lambda make: make(),
    ) -> None:
        self._all_names, self._row, self._entry = names, row, entry
        self._lower, self._never = lower, never
        self._marks_digits, self._kept_tables = marks_digits, kept
        self._known: dict[str, list[str]] = {}
        self._limits: _Limits | None = None

    @cached_property
    def names(self) -> frozenset[str]:
        """Those that a text can have as one word."""
        return frozenset(self._all_names())

    @cached_property
    def _forms(self) -> list[str]:
        return [name if name.isascii() else without_joiners(name) for name in self.names]

    @cached_property
    def _contexts(self) -> Contexts:
        self._find_limits()
        return Contexts(self._kept_tables(self._tables), fold_digits=self._marks_digits)

    def _tables(self) -> Tables:
        digits = [name.replace("#", "0") for name in self._forms if "#" in name]
        forms = [*self._forms, *digits] if self._marks_digits else self._forms
        return Contexts.tables_of(forms, fold_digits=self._marks_digits)

    def _find_limits(self) -> None:
        if self._limits is None:
            self._limits = _Limits.of(self._forms)

    def words_of(self, text: str) -> list[str]:
        """Return the words and entries of one text: the fast twin of a split and `cut`."""
        plain = text.isascii()
        if not plain:
            text = normalize(text)
        words = list[str]()
        for chunk in (lower_each(text) if self._lower else text).split():
            if plain and chunk.isalnum():
                words.append(chunk)
            else:
                words += self.cut(chunk)
        return words

    def cut(self, chunk: str) -> Sequence[str]:
        """Return the words and entries of a text without whitespace, in the case of the entries."""
        known = self._known
        if chunk not in known:
            if len(known) >= REMEMBERED:
                # A new dictionary, since another thread may be reading the old one.
                self._known = known = {}
            known[chunk] = self._cut(chunk)
        return known[chunk]

    def kept(self, raw: Bytes, shown: Bytes, inside: NDArray[np.bool_]) -> Places:
        """Return the places of separators that may belong to entries; see `Contexts.places`."""
        return self._contexts.places(raw, shown, inside)

    def _cut(self, chunk: str) -> list[str]:
        if len(chunk) > LONG:
            self._find_limits()  # with them, it takes time in proportion to its length
        if chunk.isascii() and (pieces := self._plain(chunk)):
            return pieces
        shown, free = _shown(chunk), 0
        pieces = list[str]()
        for begin, end in [match.span() for match in _RUN.finditer(shown)]:
            if begin >= free:
                first, free = self._longest_at(chunk, shown, begin, free) or (begin, end)
                pieces.append(self._piece(chunk, first, free))
        return pieces

    def _plain(self, chunk: str) -> list[str] | None:
        """Return the pieces of ASCII where no entry has signs at its edges; None if it may have."""
        core, limits = chunk.strip(_SIGNS), self._limits
        if limits is None or not core or self._marks_digits or core.lower() in limits.edged:
            return None
        if core.isalnum() or self.is_entry(core):
            return [core]
        words = _shown(core).split()
        # Of two words, only the entry of both would be longer.
        plain = len(words) == 2 and limits.edged.isdisjoint(map(str.lower, words))
        return words if plain else None

    def _longest_at(self, chunk: str, shown: str, begin: int, free: int) -> Span | None:
        """Return the longest entry whose first word begins at `begin`, from `free` on."""
        best, size, limits = None, 0, self._limits
        longest = limits.longest if limits else len(chunk)
        for first in range(free, begin + 1):
            touched = first > 0 and shown[first - 1] != " "
            if first < begin and (touched or (limits and chunk[first] not in limits.first)):
                continue
            for last in range(min(len(chunk), first + longest), max(begin, first + size), -1):
                touched = last < len(shown) and shown[last] != " "
                sign = shown[last - 1] == " "
                if touched or (sign and limits and chunk[last - 1] not in limits.last):
                    continue
                if " " in shown[first:last] and self.is_entry(self._piece(chunk, first, last)):
                    best, size = (first, last), last - first
                    break
        return best

    def _piece(self, chunk: str, begin: int, end: int) -> str:
        piece = chunk[begin:end]
        final = self._lower and piece[-1] == "\u03c3" and len(piece) > 1
        return f"{piece[:-1]}\u03c2" if final else piece

    def is_entry(self, piece: str) -> bool:
        """Return whether a text may have a piece with separators as one word."""
        row = self._row(piece) if self._is_allowed(piece) else -1
        if row < 0 or (piece[-1] in FINAL_MARKS and 0 <= self._row(self._entry(row)[:-1]) < row):
            return False
        return not self.is_parts(piece)

    def is_parts(self, piece: str) -> bool:
        """Return whether all parts of a piece with hyphens are words or entries of their own."""
        if "-" not in piece:
            return False
        return all(self._row(part) >= 0 and self._is_one(part) for part in piece.split("-"))

    def _is_one(self, part: str) -> bool:
        return part.isalnum() or not has_separator(part) or self.is_entry(part)

    def _is_allowed(self, piece: str) -> bool:
        if piece[0] in BRACKETS or piece[-1] in BRACKETS:
            return False
        never = self._never and self._never in piece
        return not never and (piece.isascii() or not _AS_WRITTEN.search(piece))


def with_separators(names: Sequence[str]) -> dict[int, str]:
    """Return the normal forms of the names that have a separator in them, by place.

    No name has a line break.
    """
    odd = "\n".join([*names, ""]).encode().translate(None, _ALPHANUMERIC)
    ends = np.flatnonzero(np.frombuffer(odd, np.uint8) == ord("\n"))
    others = np.flatnonzero(np.diff(ends, prepend=-1) > 1).tolist()
    forms = normalize_all([names[row] for row in others])
    signs = _separators_in(form for form in forms if not form.isascii())
    # What is ASCII here, and not alphanumeric, has a separator.
    return {
        row: form
        for row, form in zip(others, forms, strict=True)
        if (not form.isalnum() if form.isascii() else not signs.isdisjoint(form))
    }


def _separators_in(names: Iterable[str]) -> set[str]:
    """Return the separators in some names, classified at once."""
    every = sorted(set(chain.from_iterable(names)))
    if not every:
        return set()
    blank = separators(np.array(list(map(ord, every)), np.int32), False)
    return {
        character for character, is_blank in zip(every, blank.tolist(), strict=True) if is_blank
    }


def has_separator(name: str) -> bool:
    """Return whether a name has a character that is no letter, mark or digit."""
    return " " in _shown(name)


def is_compound(name: str) -> bool:
    """Return whether a name with a separator has a word in it, and no whitespace."""
    word = name.strip(_SIGNS) if name.isascii() else _shown(name).strip()
    return word != "" and name.split() == [name]


def _shown(chunk: str) -> str:
    """Return a chunk with spaces for separators."""
    if chunk.isascii():
        return chunk.encode().translate(ASCII_WORDS).decode()
    return chunk.translate(letters(lower=False))
