"""The embedder protocols: text in, vectors out, and a fingerprint of what computes them."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import add
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from indexes.document import Document
from indexes.errors import InputError
from indexes.images import Image
from indexes.neighbors import COSINE, SIMILARITIES

Matrix = NDArray[np.float32]
# Stretches of one text, in characters, in order and disjoint.
Spans = Sequence[tuple[int, int]]
TEXT = "text"
TEXT_ONLY = (TEXT,)
# The modality of an embedder that has `encode_images`.
IMAGE = "image"


@runtime_checkable
class Embedder(Protocol):
    """Turn texts into vectors; any object with these members can be indexed.

    Rows are float32, of length 1 for the cosine, in the order of the texts. A row of zeros means
    that there is nothing to encode (an empty text, or one without a known word): such a document is
    never found, and such a query finds nothing.

    An embedder may also have `modalities`, a tuple of the kinds of content that it encodes, such as
    `("text", "image")`, and `similarity`, how its vectors are compared: `cosine` (the default),
    `dot`, the inner product, or `euclidean`, the distance. For the latter two, rows keep their own
    length. Without the modality `text`, it is never given a text, and its indexes are searched by
    images only. With `sparse` true, vectors are stored as an inverted file, and those of documents
    may be sparse rows of scipy. With `brief` true, a query is encoded mostly in Python, in far less
    than a millisecond. See `modalities_of`, `similarity_of`, `is_sparse` and `is_brief`. They are
    not members of this protocol, so an object without them is an `Embedder` as well.
    """

    @property
    def name(self) -> str:
        """Short display name, such as `glove-6b-50d`."""

    @property
    def dim(self) -> int:
        """Dimension of the vectors."""

    @property
    def fingerprint(self) -> str:
        """JSON on one line with everything that determines the vectors; see `fingerprint_of`.

        Two embedders with equal fingerprints return equal vectors for equal texts.
        """

    def encode_documents(self, texts: Sequence[str]) -> Matrix:
        """Return the vectors of documents, (len(texts), dim)."""

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        """Return the vectors of queries, (len(texts), dim)."""


@dataclass(frozen=True)
class TextReport:
    """Counts of what an embedder read; reports of parts add up.

    `words`, `known_words` and `guessed_words` count word occurrences (static embedders): guessed
    ones have no entry, but a vector from their subwords. For contextual embedders, `truncated`
    counts texts cut at `max_length` tokens, `tokens` the tokens read, and `padded` the positions
    computed for them, padding included.
    """

    texts: int = 0
    words: int = 0
    known_words: int = 0
    truncated: int = 0
    tokens: int = 0
    padded: int = 0
    guessed_words: int = 0

    @property
    def coverage(self) -> float | None:
        """Share of word occurrences that are known; None if words are not counted."""
        return self.known_words / self.words if self.words else None

    @property
    def guessed(self) -> float | None:
        """Share of word occurrences that are guessed; None if words are not counted."""
        return self.guessed_words / self.words if self.words else None

    @property
    def padding(self) -> float | None:
        """Share of computed positions that were padding; None if nothing was computed."""
        return 1 - self.tokens / self.padded if self.padded else None

    def __add__(self, other: TextReport) -> TextReport:
        return TextReport(*map(add, vars(self).values(), vars(other).values()))


@runtime_checkable
class ReportsCoverage(Protocol):
    """An embedder that also reports what it read, in the same pass."""

    def encode_and_report(self, texts: Sequence[str]) -> tuple[Matrix, TextReport]:
        """Return `encode_documents(texts)` and the report on the texts."""

    def report_queries(self, texts: Sequence[str]) -> TextReport:
        """Return the report on queries."""


@runtime_checkable
class EncodesImages(Protocol):
    """An embedder with the modality `image`: its vectors of images and texts are comparable."""

    def encode_images(self, images: Sequence[Image]) -> Matrix:
        """Return the vectors of images, (len(images), dim).

        Raises:
            InputError: the file of one is missing or has changed, or it cannot be decoded.
        """


@runtime_checkable
class WordCounting(Protocol):
    """An embedder with a vocabulary of known words."""

    def unknown_words(self, texts: Sequence[str]) -> list[list[str]]:
        """Return the unknown words of each text, each once, in order of appearance."""


@dataclass(frozen=True)
class WordVectors:
    """Words of one text in order: their spans (in characters) and vectors.

    `vectors` is (len(spans), dim) float32, rows of length 1. Words are runs of letters, marks and
    digits, in any script (see `characters.py`).
    """

    spans: tuple[tuple[int, int], ...]
    vectors: Matrix


@runtime_checkable
class WordEncoding(Protocol):
    """An embedder that also has a vector for each word of a text, in context."""

    @property
    def layers(self) -> int:
        """Number of hidden layers: layer 0 is the input of the first, `layers` the last output."""

    def encode_words(
        self,
        texts: Sequence[str],
        *,
        layer: int | None = None,
        pieces: str = "mean",
        spans: Sequence[Spans] | None = None,
    ) -> list[WordVectors]:
        """Return the words of each text that are read, with their vectors.

        `layer` counts from 0, or from the end if negative; None is the embedder's default. `pieces`
        combines the pieces of a word into one vector: `mean`, `first` or `last`. With `spans`, the
        stretches of each text that they name take the place of its words: in scripts without
        spaces, a word is a part of what stands between separators.

        Raises:
            InputError: no such layer or value of `pieces`.
        """


@runtime_checkable
class HasNotes(Protocol):
    """An embedder with notes for the user who builds with it."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes, one sentence each, such as the runtime on this machine."""


@runtime_checkable
class ChoosesOptions(Protocol):
    """A fittable embedder that chooses options by the documents of a corpus before it is fitted."""

    @property
    def needs_choice(self) -> bool:
        """Whether options are still to be chosen."""

    def chosen_for(self, documents: Iterable[Document]) -> Embedder:
        """Return a copy with the options that suit a corpus, which is read once."""


@runtime_checkable
class Fittable(Protocol):
    """An embedder whose vectors depend on a corpus, such as on its word frequencies.

    The fitted parameters are stored with the vectors, are reused unchanged for later documents, and
    are part of the fingerprint.
    """

    @property
    def needs_fit(self) -> bool:
        """Whether the options require a corpus and none has been fitted."""

    @property
    def parameters(self) -> bytes | None:
        """Fitted parameters as bytes; None if there are none."""

    def fitted(self, texts: Iterable[Any]) -> Embedder:
        """Return a copy fitted on the texts of a corpus, read once; self stays unchanged.

        An embedder with the modality `image` gets the images among them (`Image`), too.
        """

    def with_parameters(self, parameters: bytes) -> Embedder:
        """Return a copy with parameters fitted earlier.

        Raises:
            DamageError: the bytes are not valid parameters.
        """


@runtime_checkable
class FitsInParts(Protocol):
    """A fittable embedder that can read the parts of a corpus apart, such as to count words.

    `fitted(texts)` is `fitted_in_parts(texts, lambda lists: map(self.part_of_fit, lists))`.
    """

    def part_of_fit(self, texts: Sequence[str]) -> Any:
        """Return what some texts add to a fit; it can be pickled."""

    def fitted_in_parts(
        self, texts: Iterable[Any], parts: Callable[[Iterator[Sequence[str]]], Iterable[Any]]
    ) -> Embedder:
        """Return as `fitted`; `parts` returns the part of each of some lists of texts.

        Lists are drawn one after the other, so that no more than a few are held.
        """


@dataclass(frozen=True)
class EmbedderSpec:
    """How to load an embedder again, `kind:model` and options; stored with its vectors.

    `kind` is `static`, `contextual`, `elmo`, `sparse` or `hashing`; `model` is a path or a name,
    empty for `hashing`.
    """

    kind: str
    model: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.kind}:{self.model}" if self.model else self.kind


def modalities_of(embedder: Embedder) -> tuple[str, ...]:
    """Return the kinds of content that an embedder encodes; text only if it has no `modalities`."""
    return tuple(getattr(embedder, "modalities", TEXT_ONLY))


def is_brief(embedder: object) -> bool:
    """Return whether an embedder encodes a query mostly in Python, in far less than 1 ms."""
    return getattr(embedder, "brief", False) is True


def is_sparse(embedder: object) -> bool:
    """Return whether an embedder's vectors are stored as an inverted file."""
    return getattr(embedder, "sparse", False) is True


def similarity_of(embedder: Embedder) -> str:
    """Return how an embedder's vectors are compared; the cosine if it has no such text.

    Raises:
        InputError: it is not one of `SIMILARITIES`.
    """
    similarity = getattr(embedder, "similarity", COSINE)
    if not isinstance(similarity, str):  # a model of sentence-transformers has a method of the name
        return COSINE
    if similarity not in SIMILARITIES:
        known = ", ".join(SIMILARITIES)
        raise InputError(f"{embedder.name} has the similarity '{similarity}'; expected: {known}.")
    return similarity


def fingerprint_of(**parts: Any) -> str:
    """Return one line of JSON with sorted keys, equal if and only if all parts are equal."""
    return json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


@functools.lru_cache(maxsize=64)
def vector_fingerprint(fingerprint: str) -> str:
    """Return the part of a fingerprint that decides the vectors, for comparison.

    The runtimes of a model are interchangeable in single precision: an exported copy was compared
    with the model before it was trusted. In any other precision they are not.
    """
    parts = fingerprint_parts(fingerprint)
    if "runtime" not in parts or "precision" in parts:
        return fingerprint
    return fingerprint_of(**{name: part for name, part in parts.items() if name != "runtime"})


def fingerprint_parts(fingerprint: str) -> dict[str, Any]:
    """Return the parts of a fingerprint by name."""
    try:
        parts = json.loads(fingerprint)
    except ValueError:
        parts = fingerprint
    return parts if isinstance(parts, dict) else {"fingerprint": parts}


def unit(vectors: Matrix) -> Matrix:
    """Scale rows to length 1; zero rows stay zero.

    Norms are summed in double precision, so that very small and very large rows keep their
    direction. Rows with non-finite values stay so; they are refused when vectors are stored.
    """
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    lengths[lengths == 0] = 1.0
    return np.asarray(vectors / lengths[:, None], dtype=np.float32)


def check_texts(texts: Sequence[str]) -> None:
    """Check that `texts` is a list of valid texts.

    Raises:
        InputError: a single text instead of a list; or a text that is not `str` or not valid
            Unicode, named by its position from 0.
    """
    if isinstance(texts, str | bytes):
        raise InputError("Expected a list of texts; got a single one. Put it into a list: [text].")
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"Text {position} is {type(text).__name__}; expected text (str).")
        try:
            # Only a text beyond ASCII can hold half of a surrogate pair.
            if not text.isascii():
                text.encode()
        except UnicodeEncodeError as error:
            at = f"at character {error.start}: a lone surrogate"
            raise InputError(f"Text {position} is not valid Unicode {at}.") from None
