"""Where a long text is cut into the passages that are embedded.

A word is a run of characters that are not whitespace, as in `str.split`. So a text in a script that
writes no spaces (Chinese, Japanese, Thai) counts as few words and mostly stays whole.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import chain
from typing import Any, Protocol

from indexes.errors import InputError, NewerFormatError

WINDOW = 2_000
WIDEST_WINDOW = 16_000
# How far a boundary depends on what follows it: the next word, a bracket or quote that closes.
LOOKAHEAD = 200

_WORD = re.compile(r"\S+")
_PARAGRAPH_BREAK = re.compile(r"\n[^\S\n]*\n\s*")
_ODD_SPACE = re.compile(r"[^\S ]")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z]{2,8})*")
_SPLIT = re.compile(r"(?:(words|sentences):)?([0-9]{1,9})(?:/([0-9]{1,9}))?")


class Splitter(Protocol):
    """A way to cut texts into passages; `str()` says it in words."""

    @property
    def spec(self) -> Mapping[str, Any]:
        """Kind and options, as JSON can hold them: `splitter_of` makes the splitter again."""

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Start and end of each passage, in characters of the text.

        At least one; starts ascend strictly, and so do ends. The same text always gives the same.
        """


@dataclass(frozen=True)
class Words:
    """Stretches of `size` words, each starting `size - overlap` words after the one before.

    The last one ends with the text's last word and may be shorter, but adds at least one word. Two
    neighbours share exactly `overlap` words.

    Raises:
        InputError: not whole numbers, `size` below 1, or `overlap` not from 0 to `size - 1`.
    """

    size: int = 200
    overlap: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        _check_sizes(self)

    def __str__(self) -> str:
        return f"{_counted(self.size)}{_overlapping(self.overlap)}"

    @property
    def spec(self) -> Mapping[str, Any]:
        """`{"kind": "words", "size": ..., "overlap": ...}`."""
        return {"kind": "words", "size": self.size, "overlap": self.overlap}

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Each passage from the first character of its first word to the end of its last.

        A text of at most `size` words is one passage, whole: also the space around it counts.
        """
        if _is_short(text, self.size):
            return [(0, len(text))]
        starts, ends = _words(text)
        stretches = _stretches(0, len(starts), self.size, self.overlap)
        return [(starts[first], ends[last - 1]) for first, last in stretches]


@dataclass(frozen=True)
class Sentences:
    """As many whole sentences as fit into `size` words, overlapping by whole sentences.

    A passage begins with the last sentences of the one before: as many as fit into `overlap` words
    and leave room for the sentence that follows. A sentence longer than `size` words is cut as
    `Words` would cut it, into passages of its own. A sentence ends before whitespace or at the end
    of the text, and does not run across an empty line.

    `language` is a code such as `en` or `de`; sentencex, which finds the sentences, reads a
    language that it does not know as one it holds for related, or as English.

    Raises:
        InputError: not whole numbers, `size` below 1, `overlap` not from 0 to `size - 1`, or
            `language` is no code.
    """

    size: int = 200
    overlap: int = field(default=0, kw_only=True)
    language: str = field(default="en", kw_only=True)

    def __post_init__(self) -> None:
        _check_sizes(self)
        if not (isinstance(self.language, str) and _LANGUAGE.fullmatch(self.language)):
            raise InputError(
                f"The language is {self.language!r}; expected a code in small letters, "
                "such as 'en' or 'de'."
            )

    def __str__(self) -> str:
        language = "" if self.language == "en" else f" ({self.language})"
        size = f"{_counted(self.size)}{_overlapping(self.overlap)}"
        return f"whole sentences{language} up to {size}"

    @property
    def spec(self) -> Mapping[str, Any]:
        """`{"kind": "sentences", "size": ..., "overlap": ..., "language": ...}`."""
        return {
            "kind": "sentences",
            "size": self.size,
            "overlap": self.overlap,
            "language": self.language,
        }

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Each passage from the first character of its first word to the end of its last.

        A text of at most `size` words is one passage, whole: also the space around it counts.
        """
        if _is_short(text, self.size):
            return [(0, len(text))]
        starts, ends = _words(text)
        edges = [0]
        for position in _sentence_ends(text, self.language):
            words = bisect_left(starts, position)
            if words > edges[-1]:
                edges.append(words)
        passages = _packed(edges, self.size, self.overlap)
        return [(starts[first], ends[last - 1]) for first, last in passages]


_KINDS: dict[str, type[Words] | type[Sentences]] = {"words": Words, "sentences": Sentences}


def parse_split(text: str) -> Splitter:
    """The splitter that the command line's `--split` names: `200/50`, `sentences:200/50`.

    Raises:
        InputError: another form, a size below 1, or an overlap not below the size.
    """
    match = _SPLIT.fullmatch(text.strip())
    try:
        if match:
            kind, size, overlap = match.groups(default="0")
            return _KINDS.get(kind, Words)(int(size), overlap=int(overlap))
    except InputError:
        pass  # Said below in the command line's words.
    raise InputError(
        f"Cannot split by '{text}'; expected SIZE or SIZE/OVERLAP in words, the size at least 1 "
        "and the overlap below it. Write 200, 200/50, words:200/50 or sentences:200/50."
    )


def splitter_of(spec: Mapping[str, Any]) -> Splitter:
    """The splitter whose `spec` this is.

    Raises:
        NewerFormatError: a kind or an option that this version does not know.
        InputError: an option has a value that the splitter refuses.
    """
    options = dict(spec)
    kind = options.pop("kind", None)
    if kind not in _KINDS:
        raise NewerFormatError(
            f"Passages were split by {kind!r}; this version knows {', '.join(_KINDS)}. "
            "A newer Retriever wrote that: install it to go on."
        )
    known = [option.name for option in fields(_KINDS[kind])]
    for name in options:
        if name not in known:
            raise NewerFormatError(
                f"Splitting by '{kind}' has the option '{name}'; this version knows "
                f"{', '.join(known)}. A newer Retriever wrote that: install it to go on."
            )
    return _KINDS[kind](**options)


def _check_sizes(splitter: Words | Sentences) -> None:
    size, overlap = splitter.size, splitter.overlap
    # By type, not isinstance: True is an int.
    if type(size) is int and type(overlap) is int and 0 <= overlap < size:
        return
    raise InputError(
        f"Passages of {size!r} words that overlap by {overlap!r} cannot be; expected whole "
        "numbers, a size of at least 1 and an overlap from 0 to below the size. "
        f"For example: {type(splitter).__name__}(200, overlap=50)."
    )


def _counted(words: int) -> str:
    return f"{words:,} word" if words == 1 else f"{words:,} words"


def _overlapping(overlap: int) -> str:
    return f", overlapping by {overlap:,}" if overlap else ""


def _is_short(text: str, size: int) -> bool:
    """Whether a text has at most `size` words; looks no further than the word after them."""
    # n words need at least 2 n - 1 characters.
    return len(text) <= 2 * size or len(text.split(None, size)) <= size


def _words(text: str) -> tuple[array[int], array[int]]:
    """Start and end of every word, in characters: 16 bytes a word, where tuples would take 120."""
    bounds = array("q", chain.from_iterable(match.span() for match in _WORD.finditer(text)))
    return bounds[0::2], bounds[1::2]


def _stretches(first: int, last: int, size: int, overlap: int) -> Iterator[tuple[int, int]]:
    """The words `first` to `last` (exclusive), more than `size`, in stretches of `size` at most."""
    # A stretch that began at last - overlap or later would add no word to the one before.
    for begin in range(first, last - overlap, size - overlap):
        yield begin, min(begin + size, last)


def _packed(edges: Sequence[int], size: int, overlap: int) -> Iterator[tuple[int, int]]:
    """Passages of whole sentences, as first and last word (exclusive).

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


def sentences(text: str, language: str = "en") -> list[str]:
    """The sentences of a text, in order, without the whitespace around them."""
    begin, found = 0, list[str]()
    for end in _sentence_ends(text, language):
        found.append(text[begin:end].strip())
        begin = end
    return [sentence for sentence in found if sentence]


def _sentence_ends(text: str, language: str) -> Iterator[int]:
    """Where sentences end, in characters, ascending; the last is the text's end.

    A position lies beside whitespace or at the end, so no word is cut.
    """
    begin = 0
    for gap in _PARAGRAPH_BREAK.finditer(text):
        yield from _paragraph_sentence_ends(text, begin, gap.start(), language)
        begin = gap.end()
    yield from _paragraph_sentence_ends(text, begin, len(text), language)


def _paragraph_sentence_ends(text: str, begin: int, end: int, language: str) -> Iterator[int]:
    """Where the sentences end between two characters of the text; the last is `end`.

    In windows, since sentencex takes quadratic time for some texts. Each window begins where a
    sentence does; what it finds too near its own end is left to the next.
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
    """A window that does not end inside a quotation that began in its second half."""
    # With an odd number of them, sentencex takes none for a pair, and ends sentences inside all.
    last = window.rfind('"')
    return window[:last] if window.count('"') % 2 and 2 * last > len(window) else window


def _window_ends(window: str, language: str) -> Iterator[int]:
    """Where sentences end inside a window, in characters from its start, beside whitespace."""
    at = 0
    for piece in _pieces(_ODD_SPACE.sub(" ", window), language)[:-1]:
        at += len(piece)
        if window[at - 1].isspace() or window[at].isspace():
            yield at


def _pieces(window: str, language: str) -> list[str]:
    """The window in sentences, which together are the window.

    sentencex 1.0.32 is given short windows in which every whitespace is a space, because it panics
    where a space beyond ASCII stands between an initial and its full stop, and loses characters of
    texts above 10,000 bytes that hold empty lines.
    """
    from sentencex import segment

    try:
        pieces: list[str] = segment(language, window)
    except BaseException as error:
        # A panic of Rust is no Exception. One odd text should not stop the build of a collection.
        if type(error).__name__ != "PanicException":
            raise
        return [window]
    return pieces if "".join(pieces) == window else [window]
