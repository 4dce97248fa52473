"""Excerpts of documents, and the words that they share with a query."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property

from indexes.lexical.bm25 import terms_of
from retriever.evaluation.results import Excerpt

EXCERPT_CHARACTERS = 400
# Approximates the words of embedders and BM25: no underscore, no apostrophe.
WORD = re.compile(r"[^\W_]+")
# A word in more excerpts than this does not explain why one of them was found.
COMMON_SHARE, FEWEST_EXCERPTS = 0.3, 20


def excerpt(title: str, text: str) -> Excerpt:
    """Return the beginning of a document: title and text, each cut at a space."""
    return Excerpt(_beginning(title), _beginning(text))


def _beginning(text: str) -> str:
    if len(text) <= EXCERPT_CHARACTERS:
        return text
    cut = text[:EXCERPT_CHARACTERS]
    return f"{cut.rpartition(' ')[0] or cut} …"


class SharedWords:
    """Words of documents that share a stem with a query."""

    def __init__(self, documents: Mapping[str, Excerpt], language: str) -> None:
        self._language = language
        self._words = {
            doc_id: sorted(set(WORD.findall(f"{document.title} {document.text}".lower())))
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
        """Return the lower-cased words of the documents that share a stem with a query."""
        wanted = set(terms_of(query, self._language)) - self._common
        return frozenset(
            word
            for doc_id in doc_ids
            for word in self._words.get(doc_id, ())
            if self._stems[word] in wanted
        )
