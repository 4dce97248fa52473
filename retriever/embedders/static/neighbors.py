"""Nearest words in a vocabulary, by the cosine of their vectors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from indexes.text.characters import lower_case
from retriever.embedders.base import Matrix, unit
from retriever.embedders.static.vocabulary import Vocabulary

# Rows of the memory-mapped table read at once: 20 MB at 300 dimensions.
BLOCK = 16_384


def neighbors_of(vocabulary: Vocabulary, word: str, k: int) -> list[tuple[str, float]]:
    """Return the `k` names nearest to a word and their cosines; ties in the vocabulary's order.

    The word's own rows and its other spellings by case are left out; an unknown word has none. A
    word of several rows is represented by their mean.
    """
    bags = vocabulary.bags([word])
    if not len(bags.rows):
        return []
    found = _cosines(vocabulary.vectors, bags.table[bags.rows].mean(axis=0))
    found[bags.ids[bags.ids >= 0]] = -np.inf
    small, nearest = lower_case(word), list[tuple[str, float]]()
    for row in np.argsort(-found, kind="stable").tolist():
        if len(nearest) == k or np.isneginf(found[row]):
            break
        name = vocabulary.name(row)
        if lower_case(name) != small:
            nearest.append((name, float(found[row])))
    return nearest


def _cosines(table: Matrix, vector: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the cosine of each row (rows, dim) with a vector (dim,); 0 for a row of zeros."""
    direction = unit(vector[None])[0]
    found = np.empty(len(table), np.float32)
    for start in range(0, len(table), BLOCK):
        block = np.asarray(table[start : start + BLOCK], np.float32)
        found[start : start + len(block)] = unit(block) @ direction
    return found
