"""Bags of a student's tokens, and the initial token vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from retriever.embedders.base import Matrix
from retriever.embedders.tokenization.subword_tokenizer import TextTokenizer

RARE = 1e-3  # a of a / (a + p), as in SIF


def bags_of(tokenizer: TextTokenizer, texts: Sequence[str]) -> Any:
    """Count the tokens of each text: sparse, (len(texts), vocabulary)."""
    from scipy.sparse import csr_array

    tokens, offsets = tokenizer.tokens(texts)
    ones = np.ones(len(tokens), np.float32)
    bags = csr_array((ones, tokens, offsets), shape=(len(texts), tokenizer.size))
    bags.sum_duplicates()
    return bags


def initial_table(pieces: Matrix, tokens: Any) -> Matrix:
    """Return the initial table: the teacher's vector of each single token, SIF-weighted.

    The weight is a / (a + p), where p is the token's share of the corpus (Arora et al. 2017).
    """
    counts = np.asarray(tokens.sum(axis=0), np.float64).ravel()
    shares = counts / max(counts.sum(), 1.0)
    return np.asarray(pieces * (RARE / (RARE + shares))[:, None], np.float32)
