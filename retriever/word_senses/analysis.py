"""A word asked about: its senses in a corpus beside its static neighbours, or its uses in one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from indexes.errors import InputError
from indexes.neighbors import validate_k
from indexes.progress import Progress
from indexes.store import Store
from retriever.documents import silent
from retriever.embedders.base import Matrix, unit
from retriever.embedders.layers import resolved_layer
from retriever.embedders.static.embedder import StaticEmbedder
from retriever.embedders.texts import check_texts
from retriever.embedders.tokenization.alignment import check_pieces, word_spans
from retriever.embedders.tokenization.characters import lowered
from retriever.embedders.validation import check_count
from retriever.indexing.embedder_pool import EmbedderPool
from retriever.word_senses.clusters import Clusters, clustered
from retriever.word_senses.collocates import typical_words
from retriever.word_senses.contexts import context_of
from retriever.word_senses.index_choice import Named, OwnLayer, contextual_of, static_of
from retriever.word_senses.notes import of_static, of_uses
from retriever.word_senses.occurrences import Occurrence, checked_word, find_occurrences, places_of
from retriever.word_senses.results import Found, Neighbour, Sense, Use, WordSenses, WordUses
from retriever.word_senses.vector_cache import Encoder, encoded

OCCURRENCES = 500
# To compare each with each of them takes 200 MB.
MOST_OCCURRENCES = 5_000
PASSAGES, TYPICAL = 3, 8
NAMED_WORDS = 12


@dataclass(frozen=True)
class SenseOptions:
    """Which indexes are asked, and how; see `WordQuestions.word`."""

    index: str | None = None
    static: str | None = None
    occurrences: int = OCCURRENCES
    layer: int | None = None
    pieces: str = "mean"
    progress: Progress = field(default=silent, compare=False)

    def check(self) -> None:
        """Check what needs no index.

        Raises:
            InputError: a number of occurrences that cannot be, or no such way with pieces.
        """
        check_count("occurrences", self.occurrences, MOST_OCCURRENCES)
        check_pieces(self.pieces)


def senses_of(
    store: Store,
    models: EmbedderPool,
    word: str,
    asking: SenseOptions,
    *,
    senses: int | None,
    k: int,
) -> WordSenses:
    """A word's senses, and its `k` static neighbours; errors as in `WordQuestions.word`."""
    asking.check()
    validate_k(k)
    if senses is not None:
        check_count("senses", senses, asking.occurrences)
    asked = _Asked.of(store, models, word, asking)
    neighbors = tuple(Neighbour(*one) for one in asked.neighbors(k))
    clusters = clustered(asked.vectors, senses)
    return WordSenses(
        word=asked.word,
        index=asked.named.name,
        static=asked.static_name,
        neighbors=neighbors,
        senses=asked.senses(clusters),
        silhouette=clusters.silhouette,
        found=asked.facts,
        notes=asked.notes,
    )


def uses_of(
    store: Store, models: EmbedderPool, word: str, text: str, asking: SenseOptions, *, k: int
) -> WordUses:
    """The `k` uses of a word that are nearest to its use in a text; see `WordQuestions.word_in`."""
    asking.check()
    validate_k(k)
    word = checked_word(word)
    contexts = _contexts_in(word, text)
    asked = _Asked.of(store, models, word, asking)
    vectors = [vector for vector in asked.encode(contexts, silent)[0] if vector is not None]
    if not vectors:
        raise InputError(
            f"'{word}' stands in a part of the text that {asked.named.embedder.name} does not "
            "read. Give a shorter one: the sentence around it."
        )
    # Where the text has the word several times, their mean.
    wanted = unit(np.mean(vectors, axis=0, keepdims=True))[0]
    query = contexts[0][0][slice(*contexts[0][1])]
    return WordUses(
        word=word,
        text=text,
        index=asked.named.name,
        static=asked.static_name,
        uses=asked.uses(range(len(asked.read)), wanted, k, query=query),
        found=asked.facts,
        notes=asked.notes,
    )


def _contexts_in(word: str, text: str) -> list[tuple[str, tuple[int, int]]]:
    """The sentences of a text that have a word, each with its place in it.

    Raises:
        InputError: the word is not in the text.
    """
    check_texts([text])
    places = places_of(word, text)
    if not places:
        words = list(dict.fromkeys(text[begin:end] for begin, end in word_spans(text)))
        more = ", ..." if len(words) > NAMED_WORDS else ""
        has = f"Its words are: {', '.join(words[:NAMED_WORDS])}{more}" if words else "It has none"
        shown = text if len(text) <= 60 else f"{text[:57]}..."
        raise InputError(f"'{word}' is not a word of {shown!r}. {has}.")
    found = []
    for begin, end in places:
        first, last = context_of(text, begin, end)
        found.append((text[first:last], (begin - first, end - first)))
    return found


@dataclass(frozen=True)
class _Asked:
    """A word with its occurrences: `read` are those that the embedder could read, with `vectors`.

    `vectors` (len(read), dim) are the word's, in these contexts.
    """

    word: str
    named: Named
    encoder: Encoder
    static: tuple[str, StaticEmbedder] | None
    facts: Found
    read: tuple[Occurrence, ...]
    vectors: Matrix
    notes: tuple[str, ...]

    @classmethod
    def of(cls, store: Store, models: EmbedderPool, word: str, asking: SenseOptions) -> _Asked:
        word = checked_word(word)
        found = find_occurrences(store, word, asking.occurrences)
        named = contextual_of(store, models, asking.index)
        static, passed_by = static_of(store, models, asking.static)
        layer = _layer(named, asking.layer)
        encoder = Encoder(named.words, named.embedder.fingerprint, layer, asking.pieces)
        places = [(one.text, one.span) for one in found.chosen]
        vectors, note = encoded(encoder, lowered(word), places, asking.progress)
        both = [(o, v) for o, v in zip(found.chosen, vectors, strict=True) if v is not None]
        facts = replace(found.found, used=len(both))
        notes = [
            *found.notes,
            *of_uses(word, facts, len(places) - len(both), named.embedder.name),
            *([note] if note else []),
            *passed_by,
            *(of_static(word, *static) if static else []),
        ]
        kept = np.stack([v for _, v in both]) if both else np.zeros((0, 0), np.float32)
        read = tuple(o for o, _ in both)
        return cls(word, named, encoder, static, facts, read, kept, tuple(notes))

    @property
    def static_name(self) -> str | None:
        """The index of static vectors, where there is one."""
        return self.static[0] if self.static else None

    def encode(
        self, places: Sequence[tuple[str, tuple[int, int]]], progress: Progress
    ) -> tuple[list[Matrix | None], str | None]:
        """The word's vectors at some places; see `kept.encoded`."""
        return encoded(self.encoder, lowered(self.word), places, progress)

    def neighbors(self, k: int) -> list[tuple[str, float]]:
        """The words nearest to it in the static table."""
        return self.static[1].neighbors(self.word, k) if self.static else []

    def senses(self, clusters: Clusters) -> tuple[Sense, ...]:
        """The clusters of its occurrences, told by words and passages."""
        texts = [one.text for one in self.read]
        words = typical_words(texts, clusters.labels, lowered(self.word), TYPICAL)
        senses = []
        for number in range(clusters.count):
            members = np.flatnonzero(clusters.labels == number)
            centre = unit(self.vectors[members].mean(axis=0, keepdims=True))[0]
            uses = self.uses(members.tolist(), centre, PASSAGES, query=self.word, apart=True)
            share = len(members) / len(self.read)
            senses.append(Sense(number + 1, len(members), share, words[number], uses))
        return tuple(senses)

    def uses(
        self,
        members: Sequence[int],
        wanted: NDArray[np.float32],
        k: int,
        *,
        query: str,
        apart: bool = False,
    ) -> tuple[Use, ...]:
        """The `k` of some occurrences nearest to a vector; `apart`: of different documents.

        The same context comes once. Equal ones are ordered as in the corpus. `query` is the word
        as it was asked for. Where there are not so many documents, they come again.
        """
        cosines = self.vectors[members] @ wanted if len(members) else np.zeros(0, np.float32)
        order = np.argsort(-cosines, kind="stable").tolist()
        uses = [self.read[member] for member in members]
        chosen = _apart(order, uses, k) if apart else _different(order, uses, k)
        ranked = list[Use]()
        for rank, place in enumerate(filter(chosen.__contains__, order), start=1):
            one, near = uses[place], float(cosines[place])
            static = self._static_cosine(query, one.written)
            ranked.append(Use(rank, one.doc_id, one.title, one.text, one.span, near, static))
        return tuple(ranked)

    def _static_cosine(self, query: str, written: str) -> float | None:
        """Of the vectors that two spellings of the word have without context."""
        if self.static is None:
            return None
        first, second = self.static[1].encode_documents([query, written])
        return float(first @ second) if first.any() and second.any() else None


def _different(order: Sequence[int], uses: Sequence[Occurrence], k: int) -> set[int]:
    """The first `k` of some places in an order, without those whose use came before."""
    first = dict[object, int]()
    for place in order:
        first.setdefault((uses[place].text, uses[place].span), place)
    return set(list(first.values())[:k])


def _apart(order: Sequence[int], uses: Sequence[Occurrence], k: int) -> set[int]:
    """The first `k` of different documents and texts; then, of fewer, of different texts alone."""
    chosen, seen = set[int](), set[object]()
    for of_documents in (True, False):
        for place in order:
            one = uses[place]
            names = {one.text, ("document", one.doc_id)} if of_documents else {one.text}
            if len(chosen) < k and not names & seen:
                seen |= names
                chosen.add(place)
    return chosen


def _layer(named: Named, layer: int | None) -> int | None:
    """The layer counted from 0, so that one has one name in the cache.

    Raises:
        InputError: the embedder has no such layer.
    """
    if layer is None:
        own = named.embedder
        return own.word_layer if isinstance(own, OwnLayer) else None
    return resolved_layer(layer, named.words.layers, named.embedder.name)
