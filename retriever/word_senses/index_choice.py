"""Choice of the contextual and the static index that a word is analyzed with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from indexes.errors import InputError, RetrieverError
from indexes.store import Store
from retriever.advice import shell_command
from retriever.embedders import Embedder
from retriever.embedders.base import WordEncoding
from retriever.embedders.static.embedder import StaticEmbedder
from retriever.indexing.embedder_pool import CUSTOM, EmbedderPool

# Kinds of embedders that give a word one vector in all contexts.
STATIC = ("static", "hashing")


@dataclass(frozen=True)
class ContextualIndex:
    """An index with its embedder; `words` is the same embedder, typed as a `WordEncoding`."""

    name: str
    embedder: Embedder
    words: WordEncoding


def contextual_of(store: Store, models: EmbedderPool, name: str | None) -> ContextualIndex:
    """Return the index of the name, or the first contextual one, with its embedder."""
    if name is not None:
        embedder = models.of(name)
        if not isinstance(embedder, WordEncoding):
            raise InputError(
                f"Index '{name}' ({embedder.name}) has no vectors of words in context; "
                f"expected an index of a contextual embedder. {_advice(store)}"
            )
        return ContextualIndex(name, embedder, embedder)
    for candidate in _names(store, contextual=True):
        try:
            embedder = models.of(candidate)
        except InputError:
            if _kind(store, candidate) != CUSTOM:
                raise
            continue  # A custom embedder that was not given.
        if isinstance(embedder, WordEncoding):
            return ContextualIndex(candidate, embedder, embedder)
    raise InputError(
        f"{store.folder}/ has no index of a contextual embedder, which word senses need. "
        f"{_advice(store)}"
    )


def static_of(
    store: Store, models: EmbedderPool, name: str | None
) -> tuple[tuple[str, StaticEmbedder] | None, list[str]]:
    """Return the index of the name, or the first static one, with its embedder; None without any.

    Also return notes on the indexes skipped because their embedders cannot be loaded.
    """
    if name is not None:
        embedder = models.of(name)
        if not isinstance(embedder, StaticEmbedder):
            raise InputError(f"Index '{name}' has no word vectors; expected a static index.")
        return (name, embedder), []
    notes = []
    for candidate in _names(store, contextual=False):
        try:
            embedder = models.of(candidate)
        except RetrieverError as error:
            notes.append(f"Index '{candidate}' is skipped: {' '.join(str(error).split())}")
            continue
        if isinstance(embedder, StaticEmbedder):
            return (candidate, embedder), notes
    return None, notes or ["No index of static word vectors, so no neighbors are shown."]


def split_by_kind(store: Store, names: Sequence[str]) -> tuple[list[str], str | None]:
    """Split index names into those that are not static, in order, and the static one, if any."""
    static = [name for name in names if _kind(store, name) in STATIC]
    if len(static) > 1:
        raise InputError(f"{' and '.join(static)} are both static; expected at most one.")
    return [name for name in names if name not in static], next(iter(static), None)


def _names(store: Store, *, contextual: bool) -> list[str]:
    """Return the vector indexes that may be contextual, or those that are static, oldest first."""
    names = [row.name for row in store.indexes() if row.embedding is not None]
    return [name for name in names if (_kind(store, name) not in STATIC) == contextual]


def _kind(store: Store, name: str) -> str:
    return str(store.embedding(name).embedder["kind"])


def _advice(store: Store) -> str:
    words = "minilm", "--embedder", "contextual:all-MiniLM-L6-v2"
    return f"Build one: {shell_command('build', store.folder, *words)}"
