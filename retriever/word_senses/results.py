"""What is known of a word: its neighbours, its senses in a corpus, and where it is used in one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Neighbour:
    """A word near another in a table of static vectors, with their cosine."""

    word: str
    cosine: float


@dataclass(frozen=True)
class Found:
    """The occurrences of a word that an answer rests on.

    `used` of the `occurrences` that there are in `read` passages, of the `passages` that the index
    of words names for the word; other forms of it are among these. What the embedder did not read
    is not used.
    """

    used: int
    occurrences: int
    read: int
    passages: int


@dataclass(frozen=True)
class Use:
    """One use of a word: the sentence around it, or some sixty words of a longer one.

    `span` is where the word stands in `text`, in characters. `contextual` is the cosine of its
    vector in this context with the one that was asked about: the centre of a sense, or the word in
    another text. `static` is that of the vectors that both have without context: 1 up to rounding
    where the static embedder reads both alike, None where it does not know the word or was not
    there. `rank` counts from 1.
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
    """A group of uses that are alike.

    `number` counts from 1, the most frequent first; `count` uses, `share` of all that were looked
    at. `words` come beside it more often than beside the other senses, the most telling first; a
    word's only sense has none. `passages` are the most typical, of different documents
    as far as there are.
    """

    number: int
    count: int
    share: float
    words: tuple[str, ...]
    passages: tuple[Use, ...]


@dataclass(frozen=True)
class WordSenses:
    """A word by its static vector, and by its senses in a corpus.

    `index` is the index of contextual vectors, `static` that of static ones, None without one.
    `silhouette` says how well the senses stand apart, up to 1; None for a single one.
    """

    word: str
    index: str
    static: str | None
    neighbors: tuple[Neighbour, ...]
    senses: tuple[Sense, ...]
    silhouette: float | None
    found: Found
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class WordUses:
    """The passages that use a word as `text` does, best first; the rest as in `WordSenses`."""

    word: str
    text: str
    index: str
    static: str | None
    uses: tuple[Use, ...]
    found: Found
    notes: tuple[str, ...] = ()
