"""Excerpts of documents, and the words that they share with a query."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from functools import cached_property

from indexes.images import Image
from indexes.lexical.bm25 import terms_of
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


def matches_in(text: str, matched: Container[str]) -> Iterator[tuple[int, int]]:
    """Yield the spans of `SharedWords.of` in a text, in characters, in order."""
    for begin, end in word_spans(text):
        word = text[begin:end].lower()
        if word in matched:
            yield begin, end
        elif UNSPACED.search(word):
            yield from _parts(word, begin, matched)


def _parts(run: str, begin: int, matched: Container[str]) -> Iterator[tuple[int, int]]:
    single = characters_of(run)
    for first, second in zip(single, [*single[1:], ""], strict=True):
        size = next((len(one) for one in (first + second, first) if one in matched), 0)
        if size:
            yield begin, begin + size
        begin += len(first)


class SharedWords:
    """Words of documents that share a stem with a query."""

    def __init__(self, documents: Mapping[str, Excerpt], language: str) -> None:
        self._language = language
        self._words = {
            doc_id: sorted(set(_surfaces(f"{document.title} {document.text}")))
            for doc_id, document in documents.items()
        }

    @cached_property
    def _stems(self) -> dict[str, str]:
        distinct = {word for words in self._words.values() for word in words}
        return {word: next(iter(terms_of(word, self._language)), "") for word in distinct}

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
        wanted = set(terms_of(query, self._language)) - self._common
        return frozenset(
            word
            for doc_id in doc_ids
            for word in self._words.get(doc_id, ())
            if self._stems[word] in wanted
        )
