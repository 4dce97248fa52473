"""Which indexes of a collection speak of words: one in their contexts, one without them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from indexes.errors import InputError, RetrieverError
from indexes.store import Store
from retriever.embedders import Embedder
from retriever.embedders.base import WordEncoding
from retriever.embedders.static.embedder import StaticEmbedder
from retriever.indexing.embedder_pool import EmbedderPool
from retriever.indexing.fingerprints import CUSTOM

# Of embedders that give a word one vector, whatever its sentence.
STATIC = ("static", "hashing")


@runtime_checkable
class OwnLayer(Protocol):
    """An embedder that says which layer `encode_words` takes unasked."""

    @property
    def word_layer(self) -> int:
        """That layer, counted from 0."""


@dataclass(frozen=True)
class Named:
    """An index with its embedder: `words` is the same embedder, as one of words in context."""

    name: str
    embedder: Embedder
    words: WordEncoding


def contextual_of(store: Store, models: EmbedderPool, name: str | None) -> Named:
    """The index of that name with its embedder, or else the first whose embedder reads context.

    Raises:
        UnknownNameError: no such index.
        InputError: it has no vectors of words in context, or no index has.
    """
    if name is not None:
        embedder = models.of(name)
        if not isinstance(embedder, WordEncoding):
            raise InputError(
                f"Index '{name}' ({embedder.name}) has no vectors of words in their contexts; "
                f"expected one of a contextual embedder. {_advice(store)}"
            )
        return Named(name, embedder, embedder)
    for candidate in _names(store, contextual=True):
        found = _loaded(store, models, candidate)
        if isinstance(found, WordEncoding):
            return Named(candidate, found, found)
    raise InputError(
        f"{store.folder}/ has no index of a contextual embedder, which tells the senses of a word "
        f"apart. {_advice(store)}"
    )


def static_of(
    store: Store, models: EmbedderPool, name: str | None
) -> tuple[tuple[str, StaticEmbedder] | None, list[str]]:
    """The index of that name with its embedder, or else the first static one; None without any.

    Also notes on those that were passed by, as their tables cannot be read: a word has its senses
    without one.

    Raises:
        UnknownNameError: no such index.
        InputError: its embedder is not static.
        RetrieverError: as when the index of that name is searched.
    """
    if name is not None:
        embedder = models.of(name)
        if not isinstance(embedder, StaticEmbedder):
            raise InputError(f"Index '{name}' has no table of word vectors; expected a static one.")
        return (name, embedder), []
    notes = []
    for candidate in _names(store, contextual=False):
        try:
            embedder = models.of(candidate)
        except RetrieverError as error:
            notes.append(f"Index '{candidate}' is passed by: {' '.join(str(error).split())}")
            continue
        if isinstance(embedder, StaticEmbedder):
            return (candidate, embedder), notes
    return None, notes or ["There is no index of static word vectors to show its neighbours by."]


def split_by_kind(store: Store, names: Sequence[str]) -> tuple[list[str], str | None]:
    """Those of some indexes that are not static, in their order, and the one that is, if any.

    Raises:
        UnknownNameError: no such index.
        InputError: two are static, or one has no vectors.
    """
    static = [name for name in names if _kind(store, name) in STATIC]
    if len(static) > 1:
        raise InputError(f"{' and '.join(static)} are both static; expected one at most.")
    return [name for name in names if name not in static], next(iter(static), None)


def _names(store: Store, *, contextual: bool) -> list[str]:
    """The indexes of vectors whose embedder may be contextual, or those that are not; the oldest
    first.
    """
    names = [row.name for row in store.indexes() if row.embedding is not None]
    return [name for name in names if (_kind(store, name) not in STATIC) == contextual]


def _kind(store: Store, name: str) -> str:
    return str(store.embedding(name).embedder["kind"])


def _loaded(store: Store, models: EmbedderPool, name: str) -> Embedder | None:
    """An index's embedder; None for one of the user's own that was not given."""
    try:
        return models.of(name)
    except InputError:
        if _kind(store, name) != CUSTOM:
            raise
        return None


def _advice(store: Store) -> str:
    folder = shlex.quote(str(store.folder))
    return f"Build one: retriever build {folder} minilm --embedder contextual:all-MiniLM-L6-v2"
