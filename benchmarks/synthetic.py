"""Vectors drawn like those of real documents, any number of them, each by its document's number.

A mixture of Gaussians is fitted to real unit vectors: k-means gives `CLUSTERS` centers and their
shares; what is left of each vector has one covariance for all clusters (the spectrum), scaled by
each cluster's own spread. A query is a drawn document shortened to the mean cosine of titles and
their abstracts, plus a Gaussian fitted to what is left of the titles. Blocks of rows are drawn from
their own seeds: nothing is held.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from retriever.embedders.base import TEXT_ONLY, EmbedderSpec, fingerprint_of, unit

Matrix = NDArray[np.float32]

CLUSTERS, ROUNDS = 1_000, 10
# Documents drawn from one seed.
BLOCK = 8_192
QUERY = "query"


@dataclass(frozen=True)
class Mixture:
    """Centers (clusters, dim), the cumulated share and the spread of each, and two factors.

    A document is a center plus its cluster's spread times a normal vector times `noise` (dim, dim),
    scaled to length 1; a query is `near` times a document, plus `shift`, plus a normal vector times
    `moved`.
    """

    centers: Matrix
    shares: NDArray[np.float64]
    spreads: Matrix
    noise: Matrix
    shift: Matrix
    moved: Matrix
    near: float

    @classmethod
    def fitted(cls, vectors: Matrix, queries: Matrix, answers: Matrix) -> Mixture:
        """Fit to documents (n, dim) and to queries (m, dim), each with its document (m, dim)."""
        clusters = min(CLUSTERS, len(vectors) // 40)
        kmeans = faiss.Kmeans(vectors.shape[1], clusters, niter=ROUNDS, seed=0)
        kmeans.train(vectors)
        near = kmeans.index.search(vectors, 1)[1].ravel()
        counts = np.bincount(near, minlength=clusters)
        left = vectors - kmeans.centroids[near]
        variance = np.bincount(near, np.square(left).sum(axis=1), clusters) / np.maximum(counts, 1)
        covariance = np.cov(left.T)
        cosine = float(np.einsum("ij,ij->i", queries, answers).mean())
        away = queries - cosine * answers
        return cls(
            centers=kmeans.centroids,
            shares=counts.cumsum() / len(vectors),
            spreads=np.sqrt(variance / np.trace(covariance)).astype(np.float32),
            noise=_factor(covariance),
            shift=away.mean(axis=0),
            moved=_factor(np.cov(away.T)),
            near=cosine,
        )

    @property
    def dim(self) -> int:
        """Width of the vectors."""
        return int(self.centers.shape[1])

    def block(self, number: int) -> Matrix:
        """Return the documents of one block, (`BLOCK`, dim)."""
        random = np.random.default_rng([0, number])
        near = self.shares.searchsorted(random.random(BLOCK)).clip(max=len(self.centers) - 1)
        normal = random.standard_normal((BLOCK, self.dim), np.float32)
        return unit(self.centers[near] + self.spreads[near, None] * (normal @ self.noise))

    def queries(self, numbers: Sequence[int], documents: Matrix) -> Matrix:
        """Return a query (n, dim) for each of some documents."""
        seeds = (np.random.default_rng([1, number]) for number in numbers)
        normal = np.stack([random.standard_normal(self.dim, np.float32) for random in seeds])
        return unit(np.float32(self.near) * documents + self.shift + normal @ self.moved)

    def save(self, path: Path) -> None:
        """Write it to a file of NumPy's."""
        with path.open("wb") as file:
            np.savez(file, **vars(self))

    @classmethod
    def load(cls, path: Path) -> Mixture:
        """Read what `save` wrote."""
        with np.load(path) as arrays:
            return cls(**{name: arrays[name] for name in arrays.files})


def _factor(covariance: NDArray[np.float64]) -> Matrix:
    """Return a matrix that makes normal rows of this covariance."""
    small = 1e-9 * np.trace(covariance) * np.eye(len(covariance))
    return np.linalg.cholesky(covariance + small).T.astype(np.float32)


@dataclass
class Numbered:
    """An embedder of texts that begin with a document's number: `rows` gives the vector.

    A query is the number of the document that it is near, after the word `query`.
    """

    name: str
    modalities: tuple[str, ...] = TEXT_ONLY
    dim: int = 256
    _kept: dict[int, Matrix] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """The name: it decides the vectors of one benchmark."""
        return fingerprint_of(kind="numbered", name=self.name, dim=self.dim)

    @property
    def spec(self) -> EmbedderSpec:
        """Spec under which an index names it; nothing can load it again."""
        return EmbedderSpec("numbered", self.name, {})

    def rows(self, numbers: NDArray[np.int64]) -> Matrix:
        """Return the vectors of some documents."""
        raise NotImplementedError

    def encode_documents(self, texts: Sequence[str]) -> Any:
        """Return the vectors of documents by the numbers before their texts."""
        return self.rows(np.array([int(text.split(" ", 1)[0]) for text in texts]))

    def encode_queries(self, texts: Sequence[str]) -> Any:
        """Return the vectors of queries by the numbers in them."""
        raise NotImplementedError


class Synthetic(Numbered):
    """Documents and queries of a mixture."""

    def __init__(self, mixture: Mixture) -> None:
        super().__init__("synthetic", dim=mixture.dim)
        self._mixture = mixture

    def rows(self, numbers: NDArray[np.int64]) -> Matrix:
        """Draw blocks; the latest two are kept."""
        out = np.empty((len(numbers), self.dim), np.float32)
        for block in np.unique(numbers // BLOCK).tolist():
            if block not in self._kept:
                while len(self._kept) > 1:
                    del self._kept[next(iter(self._kept))]
                self._kept[block] = self._mixture.block(block)
            here = numbers // BLOCK == block
            out[here] = self._kept[block][numbers[here] % BLOCK]
        return out

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        """Return a query near each of some documents."""
        numbers = np.array([int(text.removeprefix(QUERY)) for text in texts])
        return self._mixture.queries(numbers.tolist(), self.rows(numbers))


class Real(Numbered):
    """Given documents (n, dim) and queries."""

    def __init__(self, vectors: Matrix, queries: Matrix) -> None:
        super().__init__("real", dim=vectors.shape[1])
        self._vectors, self._queries = vectors, queries

    def rows(self, numbers: NDArray[np.int64]) -> Matrix:
        """Return given rows."""
        return self._vectors[numbers]

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        """Return the given queries of some numbers."""
        return self._queries[[int(text.removeprefix(QUERY)) for text in texts]]
