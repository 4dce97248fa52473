"""What an embedder is: text in, unit vectors out, and a fingerprint that tells two apart."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]


@runtime_checkable
class Embedder(Protocol):
    """Turns texts into vectors; anything with these members can be indexed.

    Rows are float32 of length 1, in the order of the texts. A row of zeros says that the embedder
    has nothing to go by (an empty text, or one without a known word): such a document cannot be
    found, and such a query finds nothing.
    """

    @property
    def name(self) -> str:
        """A short name for people, such as `glove-6b-50d`."""

    @property
    def dim(self) -> int:
        """The width of every vector."""

    @property
    def fingerprint(self) -> str:
        """One line of JSON naming all that decides a vector's values; made by `fingerprint_of`.

        Two embedders with the same fingerprint give the same vectors for the same text.
        """

    def encode_documents(self, texts: Sequence[str]) -> Matrix:
        """The vectors of documents, (len(texts), dim)."""

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        """The vectors of queries, (len(texts), dim)."""


@dataclass(frozen=True)
class TextReport:
    """What an embedder could make of some texts; reports of parts add up.

    `words` and `known_words` count word occurrences (static embedders). `truncated` counts texts
    cut off at `max_length` tokens, `tokens` the word pieces that were read, `padded` the places
    that were computed for them, those of texts that ended sooner included (contextual embedders).
    """

    texts: int = 0
    words: int = 0
    known_words: int = 0
    truncated: int = 0
    tokens: int = 0
    padded: int = 0

    @property
    def coverage(self) -> float | None:
        """Share of word occurrences that the embedder knows; None where it does not count words."""
        return self.known_words / self.words if self.words else None

    @property
    def padding(self) -> float | None:
        """Share of the computed places that held no token; None where nothing was computed."""
        return 1 - self.tokens / self.padded if self.padded else None

    def __add__(self, other: TextReport) -> TextReport:
        return TextReport(
            self.texts + other.texts,
            self.words + other.words,
            self.known_words + other.known_words,
            self.truncated + other.truncated,
            self.tokens + other.tokens,
            self.padded + other.padded,
        )


@runtime_checkable
class ReportsCoverage(Protocol):
    """An embedder that also says what it made of the texts, in the same pass."""

    def encode_and_report(self, texts: Sequence[str]) -> tuple[Matrix, TextReport]:
        """`encode_documents(texts)`, and the report of those texts."""

    def report_queries(self, texts: Sequence[str]) -> TextReport:
        """The report of some queries."""


@runtime_checkable
class WordCounting(Protocol):
    """An embedder that knows some words and others not."""

    def unknown_words(self, texts: Sequence[str]) -> list[list[str]]:
        """For each text, its words that it does not know, each once, in their order."""


@dataclass(frozen=True)
class WordVectors:
    """The words of one text, in order: where each begins and ends (in characters), and its vector.

    `vectors` is (len(spans), dim) float32, rows of length 1. Words are runs of letters, marks and
    digits, in any script (see `characters.py`).
    """

    spans: tuple[tuple[int, int], ...]
    vectors: Matrix


@runtime_checkable
class WordEncoding(Protocol):
    """An embedder that also has a vector for every word of a text, in its context."""

    @property
    def layers(self) -> int:
        """Hidden layers: layer 0 is what goes into the first, `layers` what the last one gives."""

    def encode_words(
        self, texts: Sequence[str], *, layer: int | None = None, pieces: str = "mean"
    ) -> list[WordVectors]:
        """The words of each text that are read, with their vectors.

        `layer` counts from 0, or from the end if negative; None leaves it to the embedder. `pieces`
        says how the pieces of a word become one vector: `mean`, `first` or `last`.

        Raises:
            InputError: no such layer, or no such way with pieces.
        """


@runtime_checkable
class HasNotes(Protocol):
    """An embedder that has something to say to the person who builds with it."""

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence each, such as what it computes with on this machine."""


@runtime_checkable
class Fittable(Protocol):
    """An embedder whose vectors depend on a corpus: on how often its words occur, say.

    What was fitted is kept beside the vectors and used unchanged for what is added later; it is
    part of the fingerprint.
    """

    @property
    def needs_fit(self) -> bool:
        """Whether its options ask for a corpus, and it has seen none."""

    @property
    def parameters(self) -> bytes | None:
        """What was fitted, to be kept; None where nothing was."""

    def fitted(self, texts: Iterable[str]) -> Embedder:
        """The same embedder fitted on the texts of a corpus, read once; this one stays as it is."""

    def with_parameters(self, parameters: bytes) -> Embedder:
        """The same embedder with what was fitted before.

        Raises:
            DamageError: the bytes are not such parameters.
        """


@dataclass(frozen=True)
class EmbedderSpec:
    """How to load an embedder again: `kind:model` and options; kept beside its vectors.

    `kind` is `static`, `contextual`, `elmo` or `hashing`; `model` is a path or a name, empty for
    `hashing`.
    """

    kind: str
    model: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.kind}:{self.model}" if self.model else self.kind


def fingerprint_of(**parts: Any) -> str:
    """One line of JSON with sorted keys: equal exactly where every part is equal."""
    return json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def unit(vectors: Matrix) -> Matrix:
    """The rows scaled to length 1; rows of zeros stay zeros.

    Lengths are summed in double precision, so that very small and very large rows keep their
    direction. A row that is not finite stays so: it is refused where vectors are stored.
    """
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    lengths[lengths == 0] = 1.0
    return np.asarray(vectors / lengths[:, None], dtype=np.float32)
