"""Queries without a model: each token of a query counts by its idf among the documents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.errors import DamageError
from retriever.embedders.base import Matrix
from retriever.embedders.sealed import seal, unseal

HEAD = b"retriever idf of tokens 1\n"


@dataclass(frozen=True, eq=False)
class TextsWith:
    """Counts of some texts: how many there are, and how many have each token, (dim,) int64."""

    texts: int
    having: NDArray[np.int64]

    @classmethod
    def of(cls, tokenizer: Any, dim: int, texts: Sequence[str]) -> TextsWith:
        """Count the tokens of some texts."""
        having = np.zeros(dim, np.int64)
        for tokens in _tokens(tokenizer, texts):
            having[np.unique(tokens)] += 1
        return cls(len(texts), having)


class TokenIdf:
    """The idf of each token in a corpus, log(1 + (N - n + 0.5) / (n + 0.5)) as in BM25.

    `weights` (dim,) are by the token's number. A query of plain tokens weighted so is what models
    for search without inference on queries are trained for (Geng et al. 2024, "Towards Competitive
    Search Relevance For Inference-Free Learned Sparse Retrievers").
    """

    def __init__(self, tokenizer: Any, weights: Matrix) -> None:
        self._tokenizer, self.weights = tokenizer, weights

    @classmethod
    def of(cls, tokenizer: Any, dim: int, counts: Iterable[TextsWith]) -> TokenIdf:
        """Return the idf of tokens in a corpus, by the counts of its parts, in any order."""
        having, count = np.zeros(dim, np.int64), 0
        for part in counts:
            having += part.having
            count += part.texts
        weights = np.log1p((count - having + 0.5) / (having + 0.5))
        return cls(tokenizer, weights.astype(np.float32))

    @classmethod
    def of_bytes(cls, tokenizer: Any, dim: int, kept: bytes) -> TokenIdf:
        """Return what `to_bytes` returned; a DamageError for anything else."""
        weights = np.frombuffer(unseal(HEAD, kept), "<f4")
        if len(weights) != dim:
            raise DamageError(
                f"The stored fit has {len(weights):,} tokens; expected {dim:,}. "
                "Build the index with --refit (refit=True)."
            )
        return cls(tokenizer, weights)

    def to_bytes(self) -> bytes:
        """Return the weights as bytes with a checksum."""
        return seal(HEAD, self.weights.astype("<f4").tobytes())

    def encode(self, texts: Sequence[str]) -> Matrix:
        """Return the vectors of queries (len(texts), dim); zeros for one without a token."""
        vectors = np.zeros((len(texts), len(self.weights)), np.float32)
        for row, tokens in zip(vectors, _tokens(self._tokenizer, texts), strict=True):
            row[tokens] = self.weights[tokens]
        return vectors


def _tokens(tokenizer: Any, texts: Sequence[str]) -> Iterator[NDArray[np.int64]]:
    """Yield the tokens of each text, to its end, without special and unknown ones."""
    if not texts:  # transformers fails for no texts
        return
    special = np.array(sorted(tokenizer.all_special_ids), np.int64)
    read = tokenizer(list(texts), add_special_tokens=False, truncation=False, verbose=False)
    for ids in read["input_ids"]:
        tokens = np.array(ids, np.int64)
        yield tokens[~np.isin(tokens, special)]
