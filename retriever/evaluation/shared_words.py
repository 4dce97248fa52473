"""Excerpts of documents, and the words that they share with a query."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cached_property

from indexes.images import Image
from indexes.lexical.bm25 import terms_of
from indexes.lexical.options import WITH_STOPWORDS, LexicalOptions
from indexes.text.compounds import Compounds, has_separator
from indexes.text.entry_spans import entry_spans
from indexes.text.unspaced import UNSPACED, characters_of, spell_out
from indexes.text.words import word_spans
from retriever.evaluation.results import Excerpt
from retriever.formatting import beginning

EXCERPT_CHARACTERS = 400
# A word in more excerpts than this does not explain why one of them was found.
COMMON_SHARE, FEWEST_EXCERPTS = 0.3, 20


def excerpt(title: str, text: str, image: Image | None = None) -> Excerpt:
    """Return the beginning of a document: title and text, each cut at a space, and its image."""
    title, text = (beginning(of, EXCERPT_CHARACTERS) for of in (title, text))
    return Excerpt(title, text, image)


def _surfaces(text: str) -> Iterator[str]:
    """Yield the words of a text as written, in lower case."""
    for begin, end in word_spans(text):
        word = text[begin:end].lower()
        yield from spell_out(word).split() if UNSPACED.search(word) else (word,)


def matches_in(text: str, matched: AbstractSet[str]) -> Iterator[tuple[int, int]]:
    """Yield the spans of `SharedWords.of` in a text, in characters, in order."""
    entries = _entries_in(text, [word for word in matched if word_spans(word) != ((0, len(word)),)])
    free = 0
    for begin, end in word_spans(text):
        while entries and entries[0][0] <= begin:
            free = entries[0][1]
            yield entries.pop(0)
        word = text[begin:end].lower()
        if begin < free:
            continue
        if word in matched:
            yield begin, end
        elif UNSPACED.search(word):
            yield from _parts(word, begin, matched)


def _entries_in(text: str, entries: Sequence[str]) -> list[tuple[int, int]]:
    """Return the spans of words with separators, the longest ones first, that no letter touches."""
    if not entries:
        return []
    longest = sorted(entries, key=lambda entry: (-len(entry), entry))
    spans = (found.span() for found in re.finditer("|".join(map(re.escape, longest)), text, re.I))
    return [
        (begin, end)
        for begin, end in spans
        if all(map(has_separator, (*text[max(begin - 1, 0) : begin], *text[end : end + 1])))
    ]


def _parts(run: str, begin: int, matched: AbstractSet[str]) -> Iterator[tuple[int, int]]:
    single = characters_of(run)
    for first, second in zip(single, [*single[1:], ""], strict=True):
        size = next((len(one) for one in (first + second, first) if one in matched), 0)
        if size:
            yield begin, begin + size
        begin += len(first)


def telling(query: str, language: str) -> str:
    """Return the words of a query, in their order, without the stop words of a language."""
    options = LexicalOptions(language, stopwords=language in WITH_STOPWORDS)
    words = [query[begin:end] for begin, end in word_spans(query)]
    return " ".join(word for word in words if terms_of(word, options))


class SharedWords:
    """Words of documents that share a stem with a query, or are the same entry of a vocabulary."""

    def __init__(
        self,
        documents: Mapping[str, Excerpt],
        language: str,
        vocabularies: Sequence[Compounds] = (),
    ) -> None:
        self._options, self._vocabularies = LexicalOptions(language), vocabularies
        self._documents = documents
        self._kept = dict[str, Mapping[str, str]]()
        self._words = {
            doc_id: sorted(set(_surfaces(f"{document.title} {document.text}")))
            for doc_id, document in documents.items()
        }

    @cached_property
    def _stems(self) -> dict[str, str]:
        distinct = {word for words in self._words.values() for word in words}
        return {word: next(iter(terms_of(word, self._options)), "") for word in distinct}

    @cached_property
    def _common(self) -> set[str]:
        if len(self._words) < FEWEST_EXCERPTS:
            return set()
        of_each = ({self._stems[word] for word in words} for words in self._words.values())
        counts = Counter(stem for stems in of_each for stem in stems)
        return {stem for stem, n in counts.items() if n > COMMON_SHARE * len(self._words)}

    def of(self, query: str, doc_ids: Iterable[str]) -> frozenset[str]:
        """Return the words of the documents that share a stem with a query, in lower case.

        As they are written, so that they can be found in the text; in a script without spaces, as
        single characters or pairs.
        """
        wanted = set(terms_of(query, self._options)) - self._common
        ids = list(doc_ids)
        words = (word for doc_id in ids for word in self._words.get(doc_id, ()))
        matched = {word for word in words if self._stems[word] in wanted}
        if entries := {entry for entry, _ in self._entries_of(query)}:
            found = (written for doc_id in ids for written in self._entries_in(doc_id).items())
            matched |= {written for written, entry in found if entry in entries}
        return frozenset(matched)

    def _entries_of(self, text: str) -> Iterator[tuple[str, str]]:
        """Yield the entries of a text, such as `c++`, folded and as written in lower case."""
        for compounds in self._vocabularies:
            for entry, begin, end in entry_spans(text, compounds):
                yield entry, text[begin:end].lower()

    def _entries_in(self, doc_id: str) -> Mapping[str, str]:
        """Return the entries of a document, folded, by how they are written in lower case."""
        if doc_id not in self._kept:
            document = self._documents.get(doc_id, Excerpt("", ""))
            both = f"{document.title}\n{document.text}"
            self._kept[doc_id] = {written: entry for entry, written in self._entries_of(both)}
        return self._kept[doc_id]
