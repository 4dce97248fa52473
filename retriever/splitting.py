"""Splitting of long texts into the passages that are embedded.

A word is a run of characters that are not whitespace, as in `str.split`; in a script without spaces
(Chinese, Japanese, Thai), a character with its marks. See `indexes.text.unspaced.units`.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from itertools import chain, pairwise
from typing import Any, ClassVar

from indexes.errors import InputError, NewerFormatError, pluralize
from indexes.text.unspaced import SPACED, units

WINDOW = 2_000
WIDEST_WINDOW = 16_000
# How far a boundary depends on what follows it: the next word, a bracket or quote that closes.
LOOKAHEAD = 200

# Marks that end a sentence without a space after it, and what may close after them.
_ENDS = re.compile(
    "[\u3002\uff01\uff0e\uff1f\uff61\u104b\u17d4\u17d5\u0f0d\u0f0e]+[\u300d\u300f\u3011\u300b\u201d\u2019\uff09]*"
)
# Thai and its neighbors have no mark for the end of a sentence; a space stands there.
_BETWEEN_THAI = re.compile("(?<=[\u0e01-\u0e4e\u0e81-\u0edf]) +(?=[\u0e01-\u0e4e\u0e81-\u0edf])")
_PARAGRAPH_BREAK = re.compile(r"\n[^\S\n]*\n\s*")
_ODD_SPACE = re.compile(r"[^\S ]")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z]{2,8})*")
_SPLIT = re.compile(r"(?:(words|sentences):)?([0-9]{1,9})(?:/([0-9]{1,9}))?")


@dataclass(frozen=True)
class _BySize:
    """What splitters by a number of words share; `str()` describes one."""

    _kind: ClassVar[str]

    size: int = 200
    overlap: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        # By type, not isinstance: True is an int.
        if type(self.size) is int and type(self.overlap) is int and 0 <= self.overlap < self.size:
            return
        raise InputError(
            f"Passages of {self.size!r} words that overlap by {self.overlap!r} are not possible; "
            "expected whole numbers, a size of at least 1 and an overlap from 0 to below the size. "
            f"For example: {type(self).__name__}(200, overlap=50)."
        )

    def __str__(self) -> str:
        overlapping = f", overlapping by {self.overlap:,}" if self.overlap else ""
        return f"{pluralize(self.size, 'word')}{overlapping}"

    @property
    def spec(self) -> Mapping[str, Any]:
        """Kind and options, as JSON can store them; see `splitter_of`."""
        return {"kind": self._kind, **asdict(self)}

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return each passage, in characters, from its first word's start to its last one's end.

        A text of at most `size` words is one passage, including the space around it. Starts ascend
        strictly, and so do ends. The same text always gives the same.
        """
        # n words need at least 2 n - 1 characters; split no further than the word after them.
        spaced = units(text) is SPACED
        if len(text) <= (2 * self.size if spaced else self.size):
            return [(0, len(text))]
        if spaced and len(text.split(None, self.size)) <= self.size:
            return [(0, len(text))]
        starts, ends = _words(text)
        if len(starts) <= self.size:
            return [(0, len(text))]
        return [(starts[first], ends[last - 1]) for first, last in self._passages(text, starts)]

    def _passages(self, text: str, starts: Sequence[int]) -> Iterable[tuple[int, int]]:
        """Return passages as first and last word (exclusive), of words that start at `starts`."""
        raise NotImplementedError


@dataclass(frozen=True)
class Words(_BySize):
    """Passages of `size` words, each starting `size - overlap` words after the one before.

    The last one ends with the text's last word and may be shorter, but adds at least one word.

    Raises:
        InputError: not whole numbers, `size` below 1, or `overlap` not from 0 to `size - 1`.
    """

    _kind = "words"

    def _passages(self, text: str, starts: Sequence[int]) -> Iterable[tuple[int, int]]:
        return _stretches(0, len(starts), self.size, self.overlap)


@dataclass(frozen=True)
class Sentences(_BySize):
    """Passages of as many complete sentences as fit into `size` words, with complete overlaps.

    A passage begins with the last sentences of the one before: as many as fit into `overlap` words
    and leave space for the sentence that follows. A sentence longer than `size` words is split as
    `Words` would split it, into separate passages. A sentence ends before whitespace or at the end
    of the text, and does not continue across an empty line.

    `language` is a code such as `en` or `de`; sentencex, which finds the sentences, treats an
    unknown language as one that it considers related, or as English.

    Raises:
        InputError: invalid numbers, as for `Words`, or `language` is not a code.
    """

    _kind = "sentences"

    language: str = field(default="en", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (isinstance(self.language, str) and _LANGUAGE.fullmatch(self.language)):
            expected = "a code in small letters, such as 'en' or 'de'"
            raise InputError(f"The language is {self.language!r}; expected {expected}.")

    def __str__(self) -> str:
        language = "" if self.language == "en" else f" ({self.language})"
        return f"whole sentences{language} up to {super().__str__()}"

    def _passages(self, text: str, starts: Sequence[int]) -> Iterable[tuple[int, int]]:
        edges = [0]
        for position in _sentence_ends(text, self.language):
            words = bisect_left(starts, position)
            if words > edges[-1]:
                edges.append(words)
        return _packed(edges, self.size, self.overlap)


Splitter = Words | Sentences
_KINDS: dict[str, type[Splitter]] = {"words": Words, "sentences": Sentences}


def parse_split(text: str) -> Splitter:
    """Parse the command line's `--split`: `200/50`, `sentences:200/50`."""
    if match := _SPLIT.fullmatch(text.strip()):
        kind, size, overlap = match.groups(default="0")
        with suppress(InputError):  # Reported below in terms of the command line.
            return _KINDS.get(kind, Words)(int(size), overlap=int(overlap))
    raise InputError(
        f"Cannot split by '{text}'; expected SIZE or SIZE/OVERLAP in words, the size from 1 to "
        "999,999,999 and the overlap below it. Write 200, 200/50, words:200/50 or sentences:200/50."
    )


def splitter_of(spec: Mapping[str, Any]) -> Splitter:
    """Return the splitter with this `spec`; a NewerFormatError names what is not known of it."""
    options = dict(spec)
    kind = options.pop("kind", None)
    if kind not in _KINDS:
        raise _newer(f"Passages were split by {kind!r}", _KINDS)
    known = [option.name for option in fields(_KINDS[kind])]
    for name in options:
        if name not in known:
            raise _newer(f"Splitting by '{kind}' has the option '{name}'", known)
    return _KINDS[kind](**options)


def _newer(found: str, known: Iterable[str]) -> NewerFormatError:
    return NewerFormatError(
        f"{found}; this version knows {', '.join(known)}. "
        "A newer Retriever wrote that: upgrade to continue."
    )


def _words(text: str) -> tuple[array[int], array[int]]:
    """Return start and end of every word, in characters: 16 bytes a word; tuples would take 120."""
    found = units(text).finditer(text)
    bounds = array("q", chain.from_iterable(match.span() for match in found))
    return bounds[0::2], bounds[1::2]


def _stretches(first: int, last: int, size: int, overlap: int) -> Iterator[tuple[int, int]]:
    """Yield the words `first` to `last` (exclusive), more than `size`, in stretches of `size`."""
    # A stretch that began at last - overlap or later would add no word to the one before.
    for begin in range(first, last - overlap, size - overlap):
        yield begin, min(begin + size, last)


def _packed(edges: Sequence[int], size: int, overlap: int) -> Iterator[tuple[int, int]]:
    """Yield passages of complete sentences, as first and last word (exclusive).

    Sentence `i` has the words `edges[i]` to `edges[i + 1]`; edges ascend strictly from 0.
    """
    begin, count = 0, len(edges) - 1
    while True:
        end = bisect_right(edges, edges[begin] + size) - 1
        if end > begin:
            yield edges[begin], edges[end]
        else:
            end = begin + 1
            yield from _stretches(edges[begin], edges[end], size, overlap)
        if end == count:
            return
        # Never back to `begin`: from there the next sentence did not fit.
        earliest = max(edges[end] - overlap, edges[end + 1] - size)
        begin = min(end, bisect_left(edges, earliest))


def count_words(text: str) -> int:
    """Return the number of words of a text, as passages are measured."""
    return len(units(text).findall(text))


def sentences(text: str, language: str = "en") -> list[str]:
    """Return the sentences of a text, in order, without the whitespace around them."""
    ends = [0, *_sentence_ends(text, language)]
    found = [text[begin:end].strip() for begin, end in pairwise(ends)]
    return [sentence for sentence in found if sentence]


def _sentence_ends(text: str, language: str) -> Iterator[int]:
    """Yield where sentences end, in characters, ascending; the last is the text's end.

    Every position is next to whitespace, after a mark of a script without spaces, or at the end, so
    no word is cut.
    """
    begin = 0
    for gap in _PARAGRAPH_BREAK.finditer(text):
        yield from _paragraph_sentence_ends(text, begin, gap.start(), language)
        begin = gap.end()
    yield from _paragraph_sentence_ends(text, begin, len(text), language)


def _paragraph_sentence_ends(text: str, begin: int, end: int, language: str) -> Iterator[int]:
    """Yield where the sentences end between two characters of the text; the last is `end`.

    The text is read in windows, since sentencex takes quadratic time for some texts. Each window
    begins where a sentence does; ends found too near its own end are left to the next window.
    """
    width = WINDOW
    while end - begin > width:
        window = _balanced(text[begin : begin + width])
        found = [at for at in _window_ends(window, language) if at <= len(window) - LOOKAHEAD]
        if found:
            yield from (begin + at for at in found)
            begin, width = begin + found[-1], WINDOW
        elif width < WIDEST_WINDOW:
            width *= 2
        else:
            begin, width = begin + width - LOOKAHEAD, WINDOW
    yield from (begin + at for at in _window_ends(text[begin:end], language))
    yield end


def _balanced(window: str) -> str:
    """Shorten a window that ends inside a quotation that began in its second half."""
    # With an odd number of quotes, sentencex pairs none, and ends sentences inside all quotations.
    last = window.rfind('"')
    return window[:last] if window.count('"') % 2 and 2 * last > len(window) else window


def _window_ends(window: str, language: str) -> Iterator[int]:
    """Yield where sentences end inside a window, in characters from its start, at whitespace."""
    at, found = 0, set[int]()
    for piece in _pieces(_ODD_SPACE.sub(" ", window), language)[:-1]:
        at += len(piece)
        if window[at - 1].isspace() or window[at].isspace():
            found.add(at)
    if not window.isascii():
        marks = (*_ENDS.finditer(window), *_BETWEEN_THAI.finditer(window))
        found |= {match.end() for match in marks if match.end() < len(window)}
    yield from sorted(found)


def _pieces(window: str, language: str) -> list[str]:
    """Return the sentences of a window, which joined are the window.

    sentencex 1.0.32 must get short windows in which every whitespace is a space: it panics if a
    non-ASCII space is between an initial and its full stop, and loses characters of texts above
    10,000 bytes that contain empty lines.
    """
    from sentencex import segment

    try:
        pieces: list[str] = segment(language, window)
    except BaseException as error:
        # A Rust panic is not an Exception. One odd text should not stop the build of a collection.
        if type(error).__name__ != "PanicException":
            raise
        return [window]
    return pieces if "".join(pieces) == window else [window]
