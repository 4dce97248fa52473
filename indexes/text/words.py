"""Splitting of texts into words, and of batches of texts into any pieces, on two threads at most.

A word is a maximal run of Unicode letters, marks and digits (see `characters.py`); everything else
separates: `don't` is `don` and `t`, `COVID-19` is `COVID` and `19`, `snake_case` is two words.
There is no stemming, and no word is dropped. Static word vectors also read words that their
vocabulary has with separators (see `compounds.py`).

No Python loop runs over pieces: a byte table marks where they begin, and Arrow's dictionary
encoding finds the distinct ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.text import characters
from indexes.text.characters import ASCII_LOWER, ASCII_WORDS, FINAL_SIGMA, letters, lower_case
from indexes.text.compounds import Compounds
from indexes.text.contexts import REACH, Bytes, Places
from indexes.text.normalize import (
    ZWJ,
    ZWSP,
    is_invisible,
    normalize,
    normalize_with_origins,
    spaced_at,
    without_joiners,
)
from indexes.text.unspaced import may_break
from indexes.threads import sharing

SPACE = ord(" ")
# Bounds memory for any size of batch.
CHUNK_CHARACTERS = 1 << 24
# Below this, one thread is faster than two.
BLOCK_CHARACTERS = 1 << 19
MOST_THREADS = 2
# What is read several times stays in the processor's cache.
PASS_CHARACTERS = 1 << 19

# Around the texts of a block.
EDGE = " " * REACH
# Validity bits in which every second value is null.
EVERY_OTHER = b"\x55"
Flags = NDArray[np.bool_]

_RUN = re.compile("[^ ]+")


@dataclass(frozen=True)
class Words:
    """Words of texts, in order.

    `codes` (total,) int32 are positions in `distinct`; the words of text `i` are
    `codes[offsets[i]:offsets[i + 1]]`; `offsets` (texts + 1,) int64. An empty text has no words.
    """

    codes: NDArray[np.int32]
    offsets: NDArray[np.int64]
    distinct: list[str]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def of(self, text: int) -> list[str]:
        """Return the words of one text, by its position."""
        stretch = self.codes[self.offsets[text] : self.offsets[text + 1]]
        return [self.distinct[code] for code in stretch]

    def cut(self, pieces: Mapping[int, Sequence[str]]) -> Words:
        """Return the words with some of the distinct ones, by place, replaced by their pieces.

        The others keep their places. Pieces come after them, even those that are among them.
        """
        if all(some == [self.distinct[place]] for place, some in pieces.items()):
            return self
        new = dict.fromkeys(chain(*pieces.values()))
        numbers = {piece: number for number, piece in enumerate(new, len(self.distinct))}
        parts = {
            place: np.array(list(map(numbers.__getitem__, some)), np.int32)
            for place, some in pieces.items()
        }
        is_cut = np.zeros(len(self.distinct), np.bool_)
        is_cut[list(pieces)] = True
        at = np.flatnonzero(is_cut.take(self.codes))
        instead = [parts[code] for code in self.codes[at].tolist()]
        # Few occurrences are cut: the codes between them are copied as they are.
        kept = (self.codes[a + 1 : b] for a, b in pairwise([-1, *at.tolist(), len(self.codes)]))
        codes = np.concatenate([next(kept), *chain(*zip(instead, kept, strict=True))])
        added = np.cumsum([0, *(len(some) - 1 for some in instead)])
        offsets = self.offsets + added[np.searchsorted(at, self.offsets)]
        return Words(codes, offsets, [*self.distinct, *new])


def expanded(
    codes: NDArray[np.integer], counts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Replace each code by all parts of what it stands for; `counts` are the parts of each.

    Return the place of every part (total,) in a list of the parts of all codes, and where the parts
    of each of `codes` end, after a 0.
    """
    repeats, firsts = counts[codes], (np.cumsum(counts) - counts)[codes]
    ends = np.concatenate([[0], np.cumsum(repeats)])
    return np.arange(ends[-1]) + np.repeat(firsts - ends[:-1], repeats), ends


def words_of(text: str, *, lower: bool, compounds: Compounds | None = None) -> list[str]:
    """Return the words of one text: the fast twin of `split`."""
    if compounds is not None:
        return compounds.words_of(text)
    if text.isascii():
        return text.encode().translate(ASCII_LOWER if lower else ASCII_WORDS).decode().split()
    words = normalize(text).translate(letters(lower))
    return (FINAL_SIGMA.sub("\u03c2", words) if lower else words).split()


def word_spans(text: str) -> tuple[tuple[int, int], ...]:
    """Return the (begin, end) of each word of a text as written, in characters.

    Invisible characters inside a word belong to it.
    """
    # Every character maps to one character, so that offsets stay valid.
    if text.isascii():
        return tuple(match.span() for match in _RUN.finditer(text.translate(letters(lower=False))))
    shown = "".join(
        _placeholder(text, place) if is_invisible(character) or character == ZWSP else character
        for place, character in enumerate(text)
    )
    spans = (match.span() for match in _RUN.finditer(shown.translate(letters(lower=False))))
    return tuple(trimmed for span in spans if (trimmed := visible_span(text, *span)))


def _placeholder(text: str, place: int) -> str:
    """Return a joiner for an invisible character, or a space for one that separates words."""
    separates = text[place] == ZWSP and spaced_at(text, place) == " "
    return " " if separates else ZWJ


def visible_span(text: str, begin: int, end: int) -> tuple[int, int] | None:
    """Return a span without invisible characters at its ends; None if nothing is left."""
    hidden = [is_invisible(character) or character == ZWSP for character in text[begin:end]]
    if all(hidden):
        return None
    return begin + hidden.index(False), end - hidden[::-1].index(False)


def fold_with_origins(text: str) -> tuple[str, Sequence[int]]:
    """Return a text in normal form and lower case, and each character's place in `text`.

    Words are equal if their folded forms are. Joiners are left out.
    """
    normal, places = text, list(range(len(text) + 1))
    if not text.isascii() and (normalize(text) != text or without_joiners(text) != text):
        normal, places = normalize_with_origins(text)
    small = lower_case(normal).replace("ς", "σ")
    if without_joiners(small) == small and len(small) == len(normal):
        return small, places
    return _fold_each(normal, places)


def _fold_each(normal: str, places: Sequence[int]) -> tuple[str, list[int]]:
    folded, origins = list[str](), list[int]()
    for character, place in zip(normal, places, strict=False):
        folded.append(lower_case(without_joiners(character)).replace("ς", "σ"))
        origins += [place] * len(folded[-1])
    return "".join(folded), [*origins, places[-1]]


def is_boundary(text: str, place: int) -> bool:
    """Return whether a word may begin or end at a place of a text in normal form."""
    before, after = text[place - 1 : place], text[place : place + 1]
    between = before and after and _is_word(before) and _is_word(after)
    return not between or may_break(before, after)


def _is_word(character: str) -> bool:
    return character.translate(letters(lower=False)) != " "


def split(texts: Sequence[str], *, lower: bool, compounds: Compounds | None = None) -> Words:
    """Split texts into words, lower-cased if `lower`.

    Signs that may belong to `compounds` are not separators: the caller cuts the words that are no
    entries, by `Compounds.cut`.

    A lone surrogate raises `UnicodeEncodeError`.
    """
    translation = ASCII_LOWER if lower else ASCII_WORDS
    texts = normal_texts(texts)
    kept = None if compounds is None else compounds.kept
    plain = all(map(str.isascii, texts))
    blank = None if plain else partial(_blank_separators, lower=lower)
    if lower and not plain:
        # Its lower case is ASCII.
        texts = [t if t.isascii() else t.replace("\u0130", "i") for t in texts]
    words = split_batch(texts, SplitRules(translation, blank=blank, kept=kept))
    return _lower_beyond_ascii(words) if lower and not plain else words


def _lower_beyond_ascii(words: Words) -> Words:
    """Return words in lower case, where ASCII is already.

    A sigma at the end of a word is a final one.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    distinct = words.distinct
    places = [place for place, word in enumerate(distinct) if not word.isascii()]
    beyond = " ".join([distinct[place] for place in places])
    small = FINAL_SIGMA.sub("\u03c2", pc.utf8_lower(pa.scalar(beyond)).as_py())
    if small == beyond:
        return words
    spelled = small.split(" ")
    for place, word in zip(places, spelled, strict=True):
        distinct[place] = word
    if len(set(spelled)) == len(spelled):
        return words
    numbers = {word: number for number, word in enumerate(dict.fromkeys(distinct))}
    codes = np.array([numbers[word] for word in distinct], np.int32)
    return Words(codes.take(words.codes), words.offsets, list(numbers))


def normal_texts(texts: Sequence[str]) -> Sequence[str]:
    """Return the normal forms of texts, found in one pass where none changes.

    A lone surrogate raises `UnicodeEncodeError`.
    """
    import pyarrow as pa

    places = [place for place, text in enumerate(texts) if not text.isascii()]
    if not places:
        return texts
    beyond = pa.array([texts[place] for place in places], pa.large_string())
    _, offsets, data = beyond.buffers()
    first, _, codes = _beyond_ascii(np.frombuffer(data, np.uint8))
    changing = first[characters.affected(codes)]
    bounds = np.frombuffer(offsets, np.int64)[: len(places) + 1]
    result = list(texts)
    for row in np.unique(np.searchsorted(bounds, changing, side="right") - 1).tolist():
        result[places[row]] = normalize(texts[places[row]])
    return result


def _blank_separators(text: NDArray[np.uint8], *, lower: bool) -> None:
    """Overwrite the UTF-8 bytes of non-ASCII separators with spaces."""
    first, size, codes = _beyond_ascii(text)
    if not len(first):
        return
    blank = characters.separators(codes, lower)
    first, size = first[blank], size[blank]
    for step in (0, 1, 2, 3):
        text[first[size > step] + step] = SPACE


def _beyond_ascii(text: Bytes) -> tuple[NDArray[np.intp], NDArray[np.uint8], NDArray[np.int32]]:
    """Return where the characters beyond ASCII are, their sizes in bytes, and their codes."""
    first = np.flatnonzero(text >= 0xC0)
    lead = text[first]
    size = (2 + (lead >= 0xE0).astype(np.uint8) + (lead >= 0xF0)).astype(np.uint8)
    codes = (lead & (0xFF >> (size + 1))).astype(np.int32)
    for step in (1, 2, 3):
        longer = np.flatnonzero(size > step)
        codes[longer] = codes[longer] << 6 | text[first[longer] + step] & 0x3F
    return first, size, codes


@dataclass(frozen=True)
class SplitRules:
    """Rules for splitting texts.

    `translation` (256 bytes) is applied to the UTF-8 first; then spaces separate. Each byte in
    `alone` is a piece. `blank` may overwrite more characters with spaces, in place. `kept` returns
    the places of bytes that are none, given the text, what is left of it, and where that is no
    space.
    """

    translation: bytes
    alone: bytes = b""
    blank: Callable[[Bytes], None] | None = None
    kept: Callable[[Bytes, Bytes, Flags], Places] | None = None


def text_chunks(texts: Sequence[str], characters: int = 0) -> Iterator[Sequence[str]]:
    """Yield slices of at most this many characters, in order; a longer text is alone.

    By default, `CHUNK_CHARACTERS`.
    """
    characters = characters or CHUNK_CHARACTERS
    start, size = 0, 0
    for position, text in enumerate(texts):
        if size and size + len(text) > characters:
            yield texts[start:position]
            start, size = position, 0
        size += len(text)
    if start < len(texts):
        yield texts[start:]


def split_batch(texts: Sequence[str], rules: SplitRules) -> Words:
    """Split texts into pieces; a lone surrogate raises `UnicodeEncodeError`."""
    import pyarrow as pa

    parts = [part for chunk in text_chunks(texts) for part in _of_chunk(chunk, rules)]
    if not parts:
        return Words(np.zeros(0, np.int32), np.zeros(1, np.int64), [])
    encoded = [part for part, _ in parts]
    if len(parts) > 1:
        encoded = pa.chunked_array(encoded).unify_dictionaries().chunks
    codes = np.concatenate([_codes(part.indices) for part in encoded])
    offsets = np.concatenate([[0], np.cumsum(np.concatenate([counts for _, counts in parts]))])
    return Words(codes, offsets, encoded[0].dictionary.to_pylist())


def _codes(indices: Any) -> NDArray[np.int32]:
    """Return the codes of the pieces, without the nulls between them."""
    first = indices.offset
    return np.frombuffer(indices.buffers()[1], np.int32)[first : first + len(indices) : 2]


def _of_chunk(texts: Sequence[str], rules: SplitRules) -> list[tuple[Any, NDArray[np.int64]]]:
    """Split a chunk, as one block per thread if it is large enough."""
    characters = sum(map(len, texts))
    if characters < 2 * BLOCK_CHARACTERS:
        return [_of_block(texts, rules)]
    with sharing() as allowed:
        count = min(MOST_THREADS, allowed)
        if count == 1:
            return [_of_block(texts, rules)]
        # A new thread costs more than one that has memory.
        first, *others = text_chunks(texts, characters // count + 1)
        with ThreadPoolExecutor(count - 1) as pool:
            rest = pool.map(lambda block: _of_block(block, rules), others)
            return [_of_block(first, rules), *rest]


def _of_block(texts: Sequence[str], rules: SplitRules) -> tuple[Any, NDArray[np.int64]]:
    """Return the dictionary-encoded pieces, a null behind each, and the count of each text."""
    import pyarrow as pa

    parts = [_pieces(some, rules) for some in text_chunks(texts, PASS_CHARACTERS)]
    pieces = pa.chunked_array([part for part, _ in parts]).dictionary_encode().combine_chunks()
    return pieces, np.concatenate([counts for _, counts in parts])


def _pieces(texts: Sequence[str], rules: SplitRules) -> tuple[Any, NDArray[np.int64]]:
    """Return the pieces of a few texts, a null behind each, and the count of each text.

    The nulls are what is between the pieces: so the text need not be copied.
    """
    import pyarrow as pa

    data = " ".join([EDGE, *texts, EDGE]).encode()
    letters = np.frombuffer(bytearray(data).translate(rules.translation), np.uint8)
    if rules.blank is not None:
        rules.blank(letters)
    inside = letters != SPACE
    if rules.kept is not None:
        raw = np.frombuffer(data, np.uint8)
        places = rules.kept(raw, letters, inside)
        letters[places], inside[places] = raw[places], True
    bounds = np.append(_bounds(letters, inside, rules.alone), len(letters))
    count = len(bounds) // 2
    pieces = pa.LargeStringArray.from_buffers(
        2 * count,
        pa.py_buffer(bounds),
        pa.py_buffer(letters),
        pa.py_buffer(EVERY_OTHER * (count // 4 + 1)),
        count,
    )
    sizes = (len(text) if text.isascii() else len(text.encode()) for text in texts)
    begins = np.cumsum([len(EDGE), *sizes]) + np.arange(1, len(texts) + 2)
    return pieces, np.diff(np.searchsorted(bounds[:-1:2], begins))


def _bounds(letters: Bytes, inside: Flags, alone: bytes) -> NDArray[np.int64]:
    """Return where each piece begins and ends, in turn; each byte in `alone` is one."""
    # Texts have a space before, between and behind them.
    changes = inside[1:] != inside[:-1]
    if not alone:
        return np.flatnonzero(changes) + 1
    table = np.zeros(256, np.bool_)
    table[list(alone)] = True
    single = table[letters]
    changes |= single[1:] | single[:-1]
    starts, ends = (np.flatnonzero(changes & flags) + 1 for flags in (inside[1:], inside[:-1]))
    return np.stack([starts, ends], axis=1).reshape(-1)
