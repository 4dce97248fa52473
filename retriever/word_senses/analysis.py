"""Analysis of a word: its senses in a corpus and static neighbors, or its uses in one sense."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from indexes.errors import InputError, pluralize
from indexes.neighbors import validate_k
from indexes.progress import Progress, ignore_progress
from indexes.store import Store
from indexes.text.characters import lower_case
from indexes.text.compounds import Compounds
from indexes.text.words import word_spans
from retriever.embedders.base import Matrix, check_texts, unit
from retriever.embedders.layers import resolve_layer
from retriever.embedders.static.embedder import StaticEmbedder
from retriever.embedders.tokenization.alignment import validate_pooling
from retriever.embedders.validation import check_count
from retriever.indexing.embedder_pool import EmbedderPool
from retriever.word_senses.clusters import Clusters, cluster_vectors
from retriever.word_senses.collocates import typical_words
from retriever.word_senses.contexts import context_of
from retriever.word_senses.index_choice import ContextualIndex, contextual_of, static_of
from retriever.word_senses.occurrences import (
    Occurrence,
    find_occurrences,
    is_plain,
    places_of,
    validate_word,
)
from retriever.word_senses.results import (
    Neighbor,
    OccurrenceCounts,
    Sense,
    Use,
    WordSenses,
    WordUses,
)
from retriever.word_senses.vector_cache import Encoder, encode_occurrences

OCCURRENCES = 500
# Their pairwise distances take 200 MB.
MOST_OCCURRENCES = 5_000
PASSAGES, TYPICAL = 3, 8
NAMED_WORDS = 12


@dataclass(frozen=True)
class SenseOptions:
    """Indexes and options of an analysis, validated; see `WordSenseMethods.word`."""

    index: str | None
    static: str | None
    occurrences: int
    layer: int | None
    pieces: str
    progress: Progress | None

    def __post_init__(self) -> None:
        check_count("occurrences", self.occurrences, MOST_OCCURRENCES)
        validate_pooling(self.pieces)


def senses_of(
    store: Store, models: EmbedderPool, word: str, options: SenseOptions, senses: int | None, k: int
) -> WordSenses:
    """Return a word's senses and its `k` static neighbors; see `WordSenseMethods.word`."""
    validate_k(k)
    check_count("senses", senses, options.occurrences)
    target = _EncodedWord.of(store, models, word, options)
    near = target.static[1].neighbors(target.word, k) if target.static else []
    clusters = cluster_vectors(target.vectors, senses)
    return WordSenses(
        target.word,
        *target.indexes,
        neighbors=tuple(Neighbor(*one) for one in near),
        senses=target.senses(clusters),
        silhouette=clusters.silhouette,
        found=target.facts,
        notes=target.notes,
    )


def uses_of(
    store: Store, models: EmbedderPool, word: str, text: str, options: SenseOptions, k: int
) -> WordUses:
    """Return the `k` uses most similar to the use in a text; see `WordSenseMethods.word_in`."""
    validate_k(k)
    word, compounds = _validated(store, models, word, options)
    contexts = _contexts_in(word, text, compounds)
    target = _EncodedWord.of(store, models, word, options)
    found, _ = encode_occurrences(target.encoder, lower_case(word), contexts, ignore_progress)
    vectors = [vector for vector in found if vector is not None]
    if not vectors:
        raise InputError(
            f"'{word}' is in a part of the text that {target.named.embedder.name} does not read. "
            "Give only the sentence around it."
        )
    # The mean of several occurrences in the text.
    wanted = unit(np.mean(vectors, axis=0, keepdims=True))[0]
    query = contexts[0][0][slice(*contexts[0][1])]
    uses = target.uses(range(len(target.read)), wanted, k, query=query)
    return WordUses(word, text, *target.indexes, uses, target.facts, target.notes)


def _validated(
    store: Store, models: EmbedderPool, word: str, options: SenseOptions
) -> tuple[str, Compounds | None]:
    """Return one word, and the entries of the static index if it is one of them, such as `c++`."""
    check_texts([word])
    if is_plain(word):
        return validate_word(word), None
    static, _ = static_of(store, models, options.static)
    compounds = static[1].compounds if static else None
    return validate_word(word, compounds), compounds


def _contexts_in(
    word: str, text: str, compounds: Compounds | None
) -> list[tuple[str, tuple[int, int]]]:
    """Return the sentences of a text around a word, each with the word's span in it."""
    check_texts([text])
    places = places_of(word, text, compounds)
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
class _EncodedWord:
    """A word with its encoded occurrences.

    `read` are the occurrences within the embedder's length limit, `vectors` (len(read), dim) the
    word's vectors there.
    """

    word: str
    named: ContextualIndex
    encoder: Encoder
    static: tuple[str, StaticEmbedder] | None
    facts: OccurrenceCounts
    read: tuple[Occurrence, ...]
    vectors: Matrix
    notes: tuple[str, ...]

    @classmethod
    def of(
        cls, store: Store, models: EmbedderPool, word: str, options: SenseOptions
    ) -> _EncodedWord:
        word, compounds = _validated(store, models, word, options)
        found = find_occurrences(store, word, options.occurrences, compounds)
        named = contextual_of(store, models, options.index)
        static, skipped = static_of(store, models, options.static)
        layer = _layer(named, options.layer)
        encoder = Encoder(named.words, named.embedder.fingerprint, layer, options.pieces)
        places = [(one.text, one.span) for one in found.chosen]
        progress = options.progress or ignore_progress
        vectors, note = encode_occurrences(encoder, lower_case(word), places, progress)
        both = [(o, v) for o, v in zip(found.chosen, vectors, strict=True) if v is not None]
        facts = replace(found.found, used=len(both))
        notes = [
            *found.notes,
            *_notes_on_uses(word, facts, len(places) - len(both), named.embedder.name),
            *([note] if note else []),
            *skipped,
            *(_notes_on_static(word, *static) if static else []),
        ]
        kept = np.stack([v for _, v in both]) if both else np.zeros((0, 0), np.float32)
        read = tuple(o for o, _ in both)
        return cls(word, named, encoder, static, facts, read, kept, tuple(notes))

    @property
    def indexes(self) -> tuple[str, str | None]:
        """The names of the contextual index, and of the static one, if any."""
        return self.named.name, self.static[0] if self.static else None

    def senses(self, clusters: Clusters) -> tuple[Sense, ...]:
        """Describe the clusters of occurrences by collocates and passages."""
        texts = [one.text for one in self.read]
        words = typical_words(texts, clusters.labels, lower_case(self.word), TYPICAL)
        senses = []
        for number in range(clusters.count):
            members = np.flatnonzero(clusters.labels == number)
            center = unit(self.vectors[members].mean(axis=0, keepdims=True))[0]
            uses = self.uses(members.tolist(), center, PASSAGES, query=self.word, diverse=True)
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
        diverse: bool = False,
    ) -> tuple[Use, ...]:
        """Rank the `k` occurrences nearest to a vector, each context once.

        Ties are in corpus order. `query` is the word as spelled in the query. `diverse` prefers
        occurrences of different documents.
        """
        cosines = self.vectors[members] @ wanted if len(members) else np.zeros(0, np.float32)
        order = np.argsort(-cosines, kind="stable").tolist()
        uses = [self.read[member] for member in members]
        chosen = _diverse(order, uses, k) if diverse else _distinct(order, uses, k)
        ranked = list[Use]()
        for rank, place in enumerate(filter(chosen.__contains__, order), start=1):
            one, near = uses[place], float(cosines[place])
            static = self._static_cosine(query, one.written)
            ranked.append(Use(rank, one.doc_id, one.title, one.text, one.span, near, static))
        return tuple(ranked)

    def _static_cosine(self, query: str, written: str) -> float | None:
        """Return the cosine of the static vectors of two spellings; None if one is unknown."""
        if self.static is None:
            return None
        first, second = self.static[1].encode_documents([query, written])
        return float(first @ second) if first.any() and second.any() else None


def _distinct(order: Sequence[int], uses: Sequence[Occurrence], k: int) -> set[int]:
    """Return the first `k` places in the order with distinct uses."""
    first = dict[object, int]()
    for place in order:
        first.setdefault((uses[place].text, uses[place].span), place)
    return set(list(first.values())[:k])


def _diverse(order: Sequence[int], uses: Sequence[Occurrence], k: int) -> set[int]:
    """Return `k` places with distinct texts, first those of distinct documents."""
    chosen, seen = set[int](), set[object]()
    for of_documents in (True, False):
        for place in order:
            one = uses[place]
            names = {one.text, ("document", one.doc_id)} if of_documents else {one.text}
            if len(chosen) < k and not names & seen:
                seen |= names
                chosen.add(place)
    return chosen


def _layer(named: ContextualIndex, layer: int | None) -> int | None:
    """Return the layer counted from 0, so that the cache has one name for it."""
    if layer is None:
        return getattr(named.embedder, "word_layer", None)
    return resolve_layer(layer, named.words.layers, named.embedder.name)


def _notes_on_uses(word: str, facts: OccurrenceCounts, unread: int, embedder: str) -> list[str]:
    """Return the notes on a word's uses, `unread` of which exceed the embedder's length limit."""
    notes = list[str]()
    if not facts.occurrences:
        some = f"passages have other forms of it: {facts.passages:,}" if facts.passages else ""
        notes.append(f"'{word}' occurs in no passage{f'; {some}' if some else ''}.")
    if facts.read < facts.passages:
        notes.append(f"{facts.read:,} of {facts.passages:,} passages were read, evenly spread.")
    if unread:
        were = pluralize(unread, "occurrence was", "occurrences were")
        notes.append(f"{were} left out: beyond the length limit of {embedder}.")
    return notes


def _notes_on_static(word: str, index: str, embedder: StaticEmbedder) -> list[str]:
    """Return a note if the word is not in the table of a static index."""
    if embedder.encode_documents([word]).any():
        return []
    return [f"Index '{index}' ({embedder.name}) has no vector of '{word}'."]
