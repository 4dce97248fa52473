"""Occurrences of a word in a corpus: passages from a BM25 index, then an exact search in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from indexes.catalog.passages import FoundPassage
from indexes.catalog.records import IndexRow, kind_of
from indexes.errors import InputError, MismatchError
from indexes.lexical.bm25 import LONGEST_WORD, terms_of
from indexes.lexical.options import LexicalOptions
from indexes.neighbors import NO_KEY, Keys
from indexes.search.searchers import LexicalSearcher
from indexes.search.snapshot import Snapshot
from indexes.store import Store
from indexes.text.compounds import Compounds
from indexes.text.entry_spans import entry_spans
from indexes.text.words import fold_with_origins, is_boundary, visible_span, word_spans
from retriever.advice import shell_command
from retriever.embedders.base import check_texts
from retriever.indexing.notes import missing_note
from retriever.word_senses.contexts import context_of
from retriever.word_senses.results import OccurrenceCounts

# The most passages to read, evenly spread: a second's work.
READ = 5_000
FETCHED = 64
NAMED, SHOWN = 12, 20


@dataclass(frozen=True)
class Occurrence:
    """A word in context: `text` is the sentence, `span` the word's place in it, in characters."""

    doc_id: str
    title: str
    text: str
    span: tuple[int, int]

    @property
    def written(self) -> str:
        """The word as it is spelled in the text."""
        begin, end = self.span
        return self.text[begin:end]


@dataclass(frozen=True)
class Occurrences:
    """The chosen occurrences of a word, in corpus order, with counts and notes."""

    chosen: tuple[Occurrence, ...]
    found: OccurrenceCounts
    notes: tuple[str, ...]


class Place(NamedTuple):
    """The span of a word in a document's title or text, in characters."""

    key: int
    in_title: bool
    begin: int
    end: int


def is_plain(word: str) -> bool:
    """Return whether a text is one run of letters, marks and digits, between whitespace."""
    bare = word.strip()
    return word_spans(bare) == ((0, len(bare)),)


def validate_word(word: str, compounds: Compounds | None = None) -> str:
    """Return the word without surrounding whitespace; refuse anything but one word.

    An entry of a vocabulary, such as `c++`, is one word, too.
    """
    check_texts([word])
    bare = word.strip()
    entries = [] if compounds is None else [span for _, *span in entry_spans(bare, compounds)]
    if not is_plain(word) and entries != [[0, len(bare)]]:
        words = dict.fromkeys(bare[begin:end] for begin, end in word_spans(bare)[:NAMED])
        advice = f" Use one of its words: {', '.join(words)}." if words else ""
        entry = ", or an entry of the static index, such as c++" if compounds else ""
        raise InputError(
            f"{word!r} is not one word; expected a run of letters, marks and digits, such as bank"
            f"{entry}.{advice}"
        )
    return bare


def evenly(count: int, most: int) -> NDArray[np.intp]:
    """Return at most `most` of the numbers from 0 to `count` - 1, evenly spread, ascending."""
    if count <= most:
        return np.arange(count)
    return np.arange(most) * count // most


def places_of(word: str, text: str, compounds: Compounds | None = None) -> list[tuple[int, int]]:
    """Return the spans of a word in a text, in any case and form; not of parts of other words.

    In a script without spaces, a word may stand anywhere; in Korean, a particle may follow it. With
    `compounds`, the word is one of these entries, and the text is read by them.
    """
    wanted, _ = fold_with_origins(word)
    if compounds is not None:
        return [(begin, end) for one, begin, end in entry_spans(text, compounds) if one == wanted]
    folded, origins = fold_with_origins(text)
    places, at = list[tuple[int, int]](), folded.find(wanted)
    while at >= 0 and wanted:
        end = at + len(wanted)
        if is_boundary(folded, at) and is_boundary(folded, end):
            places.append(visible_span(text, origins[at], origins[end]) or (at, end))
        at = folded.find(wanted, end)
    return places


def find_occurrences(
    store: Store, word: str, most: int, compounds: Compounds | None = None
) -> Occurrences:
    """Find at most `most` occurrences of a word, evenly spread over the corpus; see `places_of`."""
    index = _bm25_index(store)
    terms = terms_of(word, LexicalOptions.of(index.definition))
    if not terms:
        raise InputError(
            f"'{word[:SHOWN]}...' has {len(word.encode()):,} bytes; index '{index.name}' holds "
            f"words of fewer than {LONGEST_WORD}. Use a shorter word."
        )

    def read(snapshot: Snapshot) -> Occurrences:
        view = snapshot.searchers.of(index.name)
        if not isinstance(view, LexicalSearcher):
            raise MismatchError(f"Index '{index.name}' is no longer lexical. Open it again.")
        found = view.search([{term: 1} for term in terms], max(view.count(), 1)).keys
        # The index stems, so some passages have only other forms of the word.
        keys = reduce(np.intersect1d, found)
        keys = keys[keys != NO_KEY]
        some = keys[evenly(len(keys), READ)]
        places = list(_places(snapshot, some, lambda text: places_of(word, text, compounds)))
        picked = [places[n] for n in evenly(len(places), most).tolist()]
        note = missing_note(store.folder, index.name, view.missing, view.stale)
        notes = (note,) if view.missing else ()
        counts = OccurrenceCounts(len(picked), len(places), len(some), len(keys))
        return Occurrences(tuple(_in_context(snapshot, picked)), counts, notes)

    return store.read(read)


def _bm25_index(store: Store) -> IndexRow:
    for index in store.indexes():
        if kind_of(index.kind).is_lexical:
            return index
    raise InputError(
        f"{store.folder}/ has no lexical index, which finds the occurrences of a word. "
        f"Build one: {shell_command('build', store.folder, 'bm25', '--lexical')}"
    )


def _places(
    snapshot: Snapshot, keys: Keys, places_in: Callable[[str], list[tuple[int, int]]]
) -> Iterator[Place]:
    """Yield every occurrence in the passages once: passages may overlap and share their title."""
    seen = set[tuple[str, bool, int]]()
    for passage in _passages(snapshot, keys.tolist()):
        document, start = passage.document, passage.start
        found = [(True, *place) for place in places_in(document.title)]
        for begin, end in places_in(document.text[start : passage.end]):
            found.append((False, start + begin, start + end))
        for in_title, begin, end in found:
            occurrence = document.doc_id, in_title, begin
            if occurrence not in seen:
                seen.add(occurrence)
                yield Place(passage.key, in_title, begin, end)


def _in_context(snapshot: Snapshot, places: Sequence[Place]) -> Iterator[Occurrence]:
    of_key = dict[int, list[Place]]()
    for place in places:
        of_key.setdefault(place.key, []).append(place)
    for passage in _passages(snapshot, list(of_key)):
        document = passage.document
        for _, in_title, begin, end in of_key[passage.key]:
            text = document.title if in_title else document.text
            first, last = context_of(text, begin, end)
            span = begin - first, end - first
            yield Occurrence(document.doc_id, document.title, text[first:last], span)


def _passages(snapshot: Snapshot, keys: Sequence[int]) -> Iterator[FoundPassage]:
    """Yield the passages of the keys in order, reading a few texts at a time to bound memory."""
    for start in range(0, len(keys), FETCHED):
        some = keys[start : start + FETCHED]
        found = snapshot.corpus.found(some)
        yield from (found[key] for key in some)
