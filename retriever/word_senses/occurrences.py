"""Where a word occurs in a corpus: candidates from the index of words, then letter by letter."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from indexes.catalog.passages import FoundPassage
from indexes.catalog.records import IndexRow
from indexes.errors import InputError, MismatchError
from indexes.lexical.bm25 import LONGEST_WORD, terms_of
from indexes.neighbors import NO_KEY, Keys
from indexes.search.searchers import LexicalSearcher
from indexes.search.snapshot import Snapshot
from indexes.store import Store
from retriever.embedders.texts import check_texts
from retriever.embedders.tokenization.alignment import word_spans
from retriever.embedders.tokenization.characters import letters, lowered
from retriever.indexing.info import missing_note
from retriever.word_senses.contexts import context_of
from retriever.word_senses.results import Found

# Passages whose texts are looked through: a second's work. Of a word in more of them, so many are
# read, evenly spread.
READ = 5_000
FETCHED = 64
NAMED, SHOWN = 12, 20


@dataclass(frozen=True)
class Occurrence:
    """A word in its context: `text` is the sentence, `span` where the word stands in it."""

    doc_id: str
    title: str
    text: str
    span: tuple[int, int]

    @property
    def written(self) -> str:
        """The word as it is written here."""
        begin, end = self.span
        return self.text[begin:end]


@dataclass(frozen=True)
class Occurrences:
    """The occurrences of a word that were chosen, in the corpus's order, and what was found."""

    chosen: tuple[Occurrence, ...]
    found: Found
    notes: tuple[str, ...]


class Place(NamedTuple):
    """Where a word stands in a document: in its title or its text, in characters."""

    key: int
    in_title: bool
    begin: int
    end: int


def checked_word(word: str) -> str:
    """The word without whitespace around it.

    Raises:
        InputError: it is no text, or not exactly one word.
    """
    check_texts([word])
    bare = word.strip()
    spans = word_spans(bare)
    if spans != ((0, len(bare)),):
        words = ", ".join(dict.fromkeys(bare[begin:end] for begin, end in spans[:NAMED]))
        advice = f" Ask for one of its words: {words}." if words else ""
        raise InputError(
            f"{word!r} is not one word; expected a run of letters, marks and digits, such as bank."
            f"{advice}"
        )
    return bare


def evenly(count: int, most: int) -> NDArray[np.intp]:
    """At most `most` of the numbers from 0 to below `count`, evenly spread, ascending."""
    if count <= most:
        return np.arange(count)
    return np.arange(most) * count // most


def places_of(word: str, text: str) -> list[tuple[int, int]]:
    """Where a text has a word, in any case, as a word of its own; in characters."""
    small, word = lowered(text), lowered(word)
    places, at = list[tuple[int, int]](), small.find(word)
    while at >= 0:
        end = at + len(word)
        if not _goes_on(text[at - 1 : at]) and not _goes_on(text[end : end + 1]):
            places.append((at, end))
        at = small.find(word, end)
    return places


def _goes_on(character: str) -> bool:
    """Whether a character, or none, is part of a word."""
    return character.translate(letters(lower=False)).strip(" ") != ""


def find_occurrences(store: Store, word: str, most: int) -> Occurrences:
    """At most `most` occurrences of a word, evenly spread over the corpus.

    Raises:
        InputError: the collection has no index of words, or the word is too long to be in one.
    """
    index = _index_of_words(store)
    terms = terms_of(word, str(index.definition["language"]))
    if not terms:
        raise InputError(
            f"'{word[:SHOWN]}...' has {len(word.encode()):,} bytes; index '{index.name}' holds "
            f"words of fewer than {LONGEST_WORD}. Ask for a shorter one."
        )

    def question(snapshot: Snapshot) -> Occurrences:
        view = snapshot.view(index.name)
        if not isinstance(view, LexicalSearcher):
            raise MismatchError(f"Index '{index.name}' is none of words any more. Open it again.")
        keys = view.search([terms], max(view.count(), 1)).keys
        # The index stems: passages with other forms of the word are among these.
        keys = np.sort(keys[keys != NO_KEY])
        read = keys[evenly(len(keys), READ)]
        places = list(_places(snapshot, read, word))
        picked = [places[n] for n in evenly(len(places), most).tolist()]
        notes = (missing_note(store.folder, index.name, view.missing),) if view.missing else ()
        found = Found(len(picked), len(places), len(read), len(keys))
        return Occurrences(tuple(_in_context(snapshot, picked)), found, notes)

    return store.read(question)


def _index_of_words(store: Store) -> IndexRow:
    for index in store.indexes():
        if index.kind == "lexical":
            return index
    raise InputError(
        f"{store.folder}/ has no index of words, by which the occurrences of a word are found. "
        f"Build one: retriever build {shlex.quote(str(store.folder))} bm25 --lexical"
    )


def _places(snapshot: Snapshot, keys: Keys, word: str) -> Iterator[Place]:
    """Every occurrence in some passages, once: passages may overlap, and share their title."""
    seen = set[tuple[str, bool, int]]()
    for passage in _passages(snapshot, keys.tolist()):
        document, start = passage.document, passage.start
        found = [(True, *place) for place in places_of(word, document.title)]
        for begin, end in places_of(word, document.text[start : passage.end]):
            found.append((False, start + begin, start + end))
        for in_title, begin, end in found:
            occurrence = document.doc_id, in_title, begin
            if occurrence not in seen:
                seen.add(occurrence)
                yield Place(passage.key, in_title, begin, end)


def _in_context(snapshot: Snapshot, places: Sequence[Place]) -> Iterator[Occurrence]:
    wanted = list(dict.fromkeys(place.key for place in places))
    of_key = dict[int, list[Place]]()
    for place in places:
        of_key.setdefault(place.key, []).append(place)
    for passage in _passages(snapshot, wanted):
        document = passage.document
        for _, in_title, begin, end in of_key[passage.key]:
            text = document.title if in_title else document.text
            first, last = context_of(text, begin, end)
            span = begin - first, end - first
            yield Occurrence(document.doc_id, document.title, text[first:last], span)


def _passages(snapshot: Snapshot, keys: Sequence[int]) -> Iterator[FoundPassage]:
    """The passages of keys, in their order; few texts at a time, for they may be long."""
    for start in range(0, len(keys), FETCHED):
        some = keys[start : start + FETCHED]
        found = snapshot.found(some)
        yield from (found[key] for key in some)
