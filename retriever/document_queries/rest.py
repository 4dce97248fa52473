"""What is left of a document without the text that a query was made of."""

from __future__ import annotations

from collections.abc import Sequence

from indexes.lexical.bm25 import tokens_of
from indexes.lexical.options import LexicalOptions
from retriever.splitting import sentences

# Sentences that share so many of their words say the same: a title repeated in the text.
SAME = 0.6
AS_WRITTEN = LexicalOptions("none")


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case, in order."""
    return tokens_of(text, AS_WRITTEN)


def repeats(sentence: str, query: str) -> bool:
    """Return whether a sentence says what a query says: of all their words, most are in both."""
    ours, theirs = set(words_of(sentence)), set(words_of(query))
    return len(ours & theirs) >= SAME * max(1, len(ours | theirs))


def rest_of(text: str, query: str, source: int | None = None) -> str:
    """Return a text without its sentence number `source`, and without those that repeat a query."""
    return joined(sentences(text), query, source)


def joined(parts: Sequence[str], query: str, source: int | None = None) -> str:
    """Return what `rest_of` returns of a text given by its sentences."""
    kept = (
        part for place, part in enumerate(parts) if place != source and not repeats(part, query)
    )
    return " ".join(kept)
