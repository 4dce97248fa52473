"""What is said beside an answer about a word: what was not found, not read, or left out."""

from __future__ import annotations

import unicodedata

from retriever.embedders.static.embedder import StaticEmbedder
from retriever.formatting import many
from retriever.word_senses.results import Found

# As the names of their letters begin: between two words of these scripts stands nothing.
WITHOUT_SPACES = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")


def of_uses(word: str, facts: Found, unread: int, embedder: str) -> list[str]:
    """On the uses of a word, of which the embedder of that name did not read so many."""
    notes = list[str]()
    if not facts.occurrences:
        some = f"passages have other forms of it: {facts.passages:,}" if facts.passages else ""
        notes.append(f"'{word}' occurs in no passage{f'; {some}' if some else ''}.")
        if any(unicodedata.name(letter, "").startswith(WITHOUT_SPACES) for letter in word):
            notes.append(
                "A word is all that stands between spaces and signs: in a script that is written "
                "without spaces, often a whole clause, which has to be asked for as it stands."
            )
    if facts.read < facts.passages:
        notes.append(
            f"{facts.read:,} of {facts.passages:,} passages were looked through, evenly spread."
        )
    if unread:
        were = many(unread, "occurrence was", "occurrences were")
        notes.append(f"{were} left out: {embedder} does not read so far into a sentence.")
    return notes


def of_static(word: str, index: str, embedder: StaticEmbedder) -> list[str]:
    """On what an index of static vectors does not know."""
    if embedder.encode_documents([word]).any():
        return []
    return [f"Index '{index}' ({embedder.name}) has no vector of '{word}'."]
