"""The kinds of queries that are made of a document: its title, a sentence, telling words."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from indexes.document import Document
from indexes.errors import InputError, check_text, did_you_mean, short_repr
from indexes.values import as_list
from retriever.document_queries.rest import joined, repeats, words_of
from retriever.splitting import sentences

# Words of a query, and the fewest of what is left.
FEWEST, MOST = 3, 60
FEWEST_LEFT = 10
# The words of a sentence that make a query of keywords.
TELLING = 5

# A query with the number of the sentence that it was made of, None for the title.
Made = tuple[str, int | None]


@dataclass(frozen=True)
class Parts:
    """A document as queries are made of it: title, sentences, and how rare its words are.

    `frequencies` are the numbers of documents with a word, of `documents` in all; only keywords
    need them.
    """

    document: Document
    frequencies: Mapping[str, int]
    documents: int

    @cached_property
    def sentences(self) -> Sequence[str]:
        """The sentences of the text, in order."""
        return sentences(self.document.text)

    @cached_property
    def own(self) -> Sequence[int]:
        """The numbers of the sentences that do not repeat the title."""
        title = self.document.title
        return [n for n, one in enumerate(self.sentences) if not title or not repeats(one, title)]

    def rarity(self, word: str) -> float:
        """Return the inverse document frequency of a word."""
        return math.log((self.documents + 1) / (self.frequencies.get(word, 0) + 0.5))


def title(parts: Parts) -> Made | None:
    """Return the title."""
    return parts.document.title.strip(), None


def first(parts: Parts) -> Made | None:
    """Return the first sentence that does not repeat the title."""
    return (parts.sentences[parts.own[0]], parts.own[0]) if parts.own else None


def middle(parts: Parts) -> Made | None:
    """Return the sentence in the middle, of at least three."""
    number = parts.own[len(parts.own) // 2] if len(parts.own) > 2 else None
    return None if number is None else (parts.sentences[number], number)


def keywords(parts: Parts) -> Made | None:
    """Return the rarest words, in order, of the sentence whose rarest words are rarest.

    As people search for what they know: Azzopardi, de Rijke and Balog 2007, "Building simulated
    queries for known-item topics", draw words of a document in this way, but from all of it.
    """
    best: tuple[float, Made] | None = None
    for number in parts.own:
        words = list(dict.fromkeys(words_of(parts.sentences[number])))
        telling = set(sorted(words, key=lambda one: (-parts.rarity(one), one))[:TELLING])
        worth = sum(map(parts.rarity, sorted(telling)))
        if best is None or worth > best[0]:
            best = worth, (" ".join(word for word in words if word in telling), number)
    return None if best is None else best[1]


KINDS: Mapping[str, Callable[[Parts], Made | None]] = {
    "title": title,
    "first": first,
    "middle": middle,
    "keywords": keywords,
}


def checked_kinds(kinds: Iterable[str]) -> tuple[str, ...]:
    """Return kinds of queries, each once; an InputError names one that is unknown."""
    listed = as_list(kinds)
    if listed is None:
        raise InputError(f"kinds is {short_repr(kinds)}; expected a list of kinds of queries.")
    found = tuple(dict.fromkeys(listed))
    for kind in found:
        check_text("A kind of query", kind)
        if kind not in KINDS:
            raise InputError(
                f"Unknown kind of query '{kind}'; expected some of: {', '.join(KINDS)}."
                f"{did_you_mean(kind, list(KINDS))}"
            )
    if not found:
        raise InputError(f"No kind of query was given; expected some of: {', '.join(KINDS)}.")
    return found


def query_of(parts: Parts, kind: str) -> tuple[str, str] | None:
    """Return a query of a document and what is left of its text; None if either is too short."""
    made = KINDS[kind](parts)
    if made is None:
        return None
    query, source = made
    rest = joined(parts.sentences, query, source)
    long_enough = FEWEST <= len(words_of(query)) <= MOST and len(words_of(rest)) >= FEWEST_LEFT
    return (query, rest) if long_enough else None
