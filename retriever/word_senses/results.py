"""Results of a word analysis: neighbors, senses and uses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Neighbor:
    """A similar word by static vectors, with the cosine."""

    word: str
    cosine: float


@dataclass(frozen=True)
class OccurrenceCounts:
    """Counts of a word's occurrences.

    `passages` match the word or another form of it in the BM25 index, and `read` of them were read.
    These have `occurrences` of the word, of which `used` are within the embedder's length limit and
    the requested number.
    """

    used: int
    occurrences: int
    read: int
    passages: int


@dataclass(frozen=True)
class Use:
    """A use of a word: its sentence, or sixty words of a longer one.

    `span` is the word's place in `text`, in characters. `contextual` is the cosine of its vector in
    this context with the center of the sense, or with the word in the query text. `static` is the
    cosine of the static vectors of both spellings: 1 up to rounding if the static embedder treats
    them equally, None if it does not know the word or there is none. `rank` counts from 1.
    """

    rank: int
    doc_id: str
    title: str
    text: str
    span: tuple[int, int]
    contextual: float
    static: float | None = None


@dataclass(frozen=True)
class Sense:
    """A group of similar uses.

    `number` counts from 1, the most frequent sense first. It has `count` uses, which are `share` of
    all. `words` are its collocates, best first; a word's only sense has none. `passages` are the
    uses nearest to its center, of different documents if possible.
    """

    number: int
    count: int
    share: float
    words: tuple[str, ...]
    passages: tuple[Use, ...]


@dataclass(frozen=True)
class WordSenses:
    """A word's static neighbors, and its senses in a corpus.

    `index` is the contextual index, `static` the static one, None without one. `silhouette` is how
    well the senses are separated, up to 1; None for a single sense.
    """

    word: str
    index: str
    static: str | None
    neighbors: tuple[Neighbor, ...]
    senses: tuple[Sense, ...]
    silhouette: float | None
    found: OccurrenceCounts
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class WordUses:
    """The uses of a word most similar to that in `text`; other fields as in `WordSenses`."""

    word: str
    text: str
    index: str
    static: str | None
    uses: tuple[Use, ...]
    found: OccurrenceCounts
    notes: tuple[str, ...] = ()
