"""Texts as bags of a student's tokens, and where the table of these tokens starts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from retriever.embedders.base import Matrix
from retriever.embedders.tokenization.subword_tokenizer import TextTokenizer

RARE = 1e-3  # a of a / (a + p), as in SIF


class Bags:
    """Texts as the student's tokenizer cuts them."""

    def __init__(self, path: Path) -> None:
        self._tokenizer = TextTokenizer(path)

    @property
    def size(self) -> int:
        """How many tokens there are."""
        return self._tokenizer.size

    def of(self, texts: Sequence[str]) -> Any:
        """How often each token is in each text: sparse, (len(texts), vocabulary)."""
        from scipy.sparse import csr_array

        tokens, offsets = self._tokenizer.tokens(texts)
        ones = np.ones(len(tokens), np.float32)
        bags = csr_array((ones, tokens, offsets), shape=(len(texts), self._tokenizer.size))
        bags.sum_duplicates()
        return bags


def start_of(pieces: Matrix, tokens: Any) -> Matrix:
    """Where fitting starts: the teacher's vector of each token alone, frequent ones shortened.

    As in SIF (Arora et al. 2017): times a / (a + p), p being the token's share of the corpus.
    """
    counts = np.asarray(tokens.sum(axis=0), np.float64).ravel()
    shares = counts / max(counts.sum(), 1.0)
    return np.asarray(pieces * (RARE / (RARE + shares))[:, None], np.float32)
