"""Queries, texts or images, with what the parts of a search need of them, computed once."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from indexes.errors import InputError, RetrieverError, short_repr
from indexes.images import Image
from indexes.lexical.bm25 import Terms, terms_of
from indexes.lexical.options import LexicalOptions
from indexes.neighbors import Keys
from retriever.embedders.base import IMAGE, TEXT, Embedder, EncodesImages, Matrix, modalities_of
from retriever.embedders.validation import first_line
from retriever.search.options import ANY

# The modality of queries that are vectors already.
VECTOR = "vector"


@dataclass(frozen=True, eq=False)
class QueryVector:
    """A query that is a vector already, of an embedder whose vectors an index holds."""

    values: NDArray[np.float32]

    @classmethod
    def of(cls, values: ArrayLike) -> QueryVector:
        """Return the query of a row of numbers.

        Raises:
            InputError: it is no row of numbers, empty, not finite, or zero everywhere.
        """
        try:
            with np.errstate(over="ignore"):  # too large for single precision: not finite
                row = np.asarray(values, np.float32)
        except (TypeError, ValueError):
            raise InputError("The query vector is not a row of numbers.") from None
        if row.ndim == 2 and len(row) == 1:  # what an embedder returns for one text
            row = row[0]
        if row.ndim != 1 or not row.size:
            raise InputError(f"The query vector has the shape {row.shape}; expected one row.")
        if not np.isfinite(row).all():
            raise InputError("The query vector holds a value that is not finite.")
        if not row.any():
            raise InputError("The query vector is zero everywhere, which is near to nothing.")
        return cls(row)


# A text, or an image to search by.
Query = str | Image
# Or a vector, which only a `VectorFinder` takes.
AnyQuery = Query | QueryVector
ONE_TEXT, ONLY_STR = frozenset({TEXT}), {str}
# Characters of a query in a message.
SHOWN = 80


class Queries:
    """Some queries, with their vectors by embedder and their terms by options, computed once.

    `ids` are their names, for messages.
    """

    def __init__(self, contents: Sequence[AnyQuery], ids: Sequence[str] | None = None) -> None:
        # No vectors where it is used as such: `modalities` tells, and was checked.
        self.contents, self.ids = cast(Sequence[Query], contents), ids
        # Which of `text`, `image` and `vector` there are.
        self.modalities = _modalities(contents)
        self._vectors: list[tuple[Embedder, Matrix]] = []
        self._terms: dict[LexicalOptions, Sequence[Terms]] = {}
        # Which of the words a passage must have for BM25; see `options`.
        self.matching = ANY
        # Set by `like_queries`: what the only query is made of, and the documents to leave out.
        self.like: Any = None
        self.left_out: Keys | None = None
        # By index, for each query: whether a search by words found nothing.
        self.unanswered: dict[str, list[bool]] = {}
        # By index, for each query: the ids of candidates that a reranker could not read.
        self.unread: dict[str, list[list[str]]] = {}
        # By index: the places of the queries that were escalated, and these.
        self.escalated: dict[str, tuple[list[int], Queries]] = {}

    def subset(self, places: Sequence[int]) -> Queries:
        """Return some of the queries, with what has been computed for them."""
        ids = None if self.ids is None else [self.ids[place] for place in places]
        some = Queries([self.contents[place] for place in places], ids)
        some.matching, some.like, some.left_out = self.matching, self.like, self.left_out
        some._vectors = [(embedder, vectors[places]) for embedder, vectors in self._vectors]
        some._terms = {
            options: [terms[place] for place in places] for options, terms in self._terms.items()
        }
        return some

    def vectors(self, embedder: Embedder) -> Matrix:
        """Return the vectors (len(contents), dim) that an embedder gives them.

        An image gets zeros, which find nothing, from an embedder of texts only; and the reverse.

        Raises:
            InputError: it cannot encode a query, or gives it a value that is not finite.
        """
        for known, vectors in self._vectors:
            if known is embedder or known.fingerprint == embedder.fingerprint:
                return vectors
        try:
            vectors = self._encoded(embedder)
        except RetrieverError:
            raise
        except Exception as error:  # an embedder may raise any
            raise self._failed(embedder, error) from error
        if np.count_nonzero(np.isfinite(vectors)) < vectors.size:
            row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
            raise self._refused(embedder, row, "its vector has a value that is not finite")
        self._vectors.append((embedder, vectors))
        return vectors

    def know(self, embedder: Embedder, vectors: Matrix) -> None:
        """Take the vectors for what an embedder gives the queries."""
        self._vectors.append((embedder, vectors))

    def know_terms(self, options: LexicalOptions, terms: Sequence[Terms]) -> None:
        """Take the terms for those of the queries by some options."""
        self._terms[options] = terms

    def _encoded(self, embedder: Embedder) -> Matrix:
        if self.modalities is ONE_TEXT and TEXT in modalities_of(embedder):  # the usual case
            return embedder.encode_queries(cast(Sequence[str], self.contents))
        return encode_queries(embedder, self.contents)

    def _failed(self, embedder: Embedder, error: Exception) -> Exception:
        """Return an error that names the query that cannot be encoded alone, or else `error`."""
        for row, content in enumerate(self.contents):
            try:
                encode_queries(embedder, [content])
            except Exception as alone:
                reason = f"{type(alone).__name__}: {first_line(alone)}"
                return self._refused(embedder, row, reason)
        return error

    def _refused(self, embedder: Embedder, row: int, reason: str) -> InputError:
        name = "" if self.ids is None else f" {self.ids[row]}"
        text = textwrap.shorten(query_text(self.contents[row]), SHOWN, placeholder=" ...")
        return InputError(
            f"{embedder.name} cannot encode the query{name} '{text}': {reason.rstrip('.')}. "
            "Change the query or leave it out."
        )

    def terms(self, options: LexicalOptions) -> Sequence[Terms]:
        """Return the terms of each, as an index of those options has them; none of an image."""
        if options not in self._terms:
            self._terms[options] = [
                terms_of(one, options) if isinstance(one, str) else {} for one in self.contents
            ]
        return self._terms[options]


def _modalities(contents: Sequence[AnyQuery]) -> frozenset[str]:
    kinds = {type(one) for one in contents}
    if kinds == ONLY_STR:
        return ONE_TEXT
    return frozenset(
        next(of for of in _MODALITIES if issubclass(kind, _MODALITIES[of])) for kind in kinds
    )


_MODALITIES: dict[str, type] = {TEXT: str, IMAGE: Image, VECTOR: QueryVector}


def encode_queries(embedder: Embedder, contents: Sequence[Query]) -> Matrix:
    """Return the vectors (len(contents), dim) of queries; zeros for a kind that it lacks."""
    images = [one for one in contents if isinstance(one, Image)]
    takes = modalities_of(embedder)
    if not images and TEXT in takes:
        return embedder.encode_queries(cast(Sequence[str], contents))
    texts = [one for one in contents if isinstance(one, str)]
    vectors = np.zeros((len(contents), embedder.dim), np.float32)
    is_image = np.array([isinstance(one, Image) for one in contents])
    if texts and TEXT in takes:
        vectors[~is_image] = embedder.encode_queries(texts)
    if images and IMAGE in takes:
        vectors[is_image] = cast(EncodesImages, embedder).encode_images(images)
    return vectors


def query_text(content: Query) -> str:
    """Return a text as it is, and the name of an image."""
    return content if isinstance(content, str) else content.source


def validate_queries(
    contents: Iterable[AnyQuery], ids: Sequence[str] | None = None
) -> list[AnyQuery]:
    """Return the queries as a list, or raise an InputError that says which is none, or is empty.

    It is named by its id, or by its position from 0.
    """
    if isinstance(contents, str):
        raise InputError("Queries are one text; expected a list of texts. Use search for one.")
    if type(contents) is not list and (
        isinstance(contents, Mapping) or not isinstance(contents, Iterable)
    ):
        raise InputError(f"Queries are {type(contents).__name__}; expected a list of texts.")
    try:
        contents = list(contents)
    except TypeError:  # an array of no dimension
        raise InputError(f"Queries are {short_repr(contents)}; expected a list of texts.") from None
    for position, content in enumerate(contents):
        if isinstance(content, Image | QueryVector):
            continue
        if isinstance(content, str) and content.strip():
            continue
        which = f"Query {position}" if ids is None else f"Query '{ids[position]}'"
        if not isinstance(content, str):
            raise InputError(f"{which} is {type(content).__name__}; expected text.")
        if ids is None and len(contents) == 1:
            which = "The query"
        raise InputError(f"{which} is empty. Give some text to search for.")
    return contents
