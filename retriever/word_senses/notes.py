"""Notes on a word analysis: what was not found, not read or left out."""

from __future__ import annotations

import unicodedata

from indexes.errors import pluralize
from retriever.embedders.static.embedder import StaticEmbedder
from retriever.word_senses.results import OccurrenceCounts

# Scripts without spaces between words, by the first word of their letters' Unicode names.
WITHOUT_SPACES = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")


def notes_on_uses(word: str, facts: OccurrenceCounts, unread: int, embedder: str) -> list[str]:
    """Return the notes on a word's uses, `unread` of which exceed the embedder's length limit."""
    notes = list[str]()
    if not facts.occurrences:
        some = f"passages have other forms of it: {facts.passages:,}" if facts.passages else ""
        notes.append(f"'{word}' occurs in no passage{f'; {some}' if some else ''}.")
        if any(unicodedata.name(letter, "").startswith(WITHOUT_SPACES) for letter in word):
            notes.append(
                "Words are split at spaces and punctuation: in a script without spaces, a word is "
                "often a complete clause, which the query must match exactly."
            )
    if facts.read < facts.passages:
        notes.append(f"{facts.read:,} of {facts.passages:,} passages were read, evenly spread.")
    if unread:
        were = pluralize(unread, "occurrence was", "occurrences were")
        notes.append(f"{were} left out: beyond the length limit of {embedder}.")
    return notes


def notes_on_static(word: str, index: str, embedder: StaticEmbedder) -> list[str]:
    """Return a note if the word is not in the table of a static index."""
    if embedder.encode_documents([word]).any():
        return []
    return [f"Index '{index}' ({embedder.name}) has no vector of '{word}'."]
