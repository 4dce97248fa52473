"""Deleted passages that a BM25 index still holds: hidden, and taken off its statistics.

BM25 counts passages N, those n with a term, and their mean length. Search weighs each term so that
N and n are those of the live passages. *Filler*, passages that count as deleted ones, makes the
mean length of all passages that of the live ones.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

FILE = "deleted.json"
# So many numbers of filler passages are tried for the one with the best mean.
TRIED = 64


@dataclass(frozen=True)
class Deleted:
    """The keys of deleted passages, their words in all, and for each term how many have it."""

    keys: Sequence[int] = ()
    words: int = 0
    terms: Mapping[str, int] = field(default_factory=dict)

    def weight(self, term: str, rows: int, having: int) -> float:
        """Return the idf of a term among live passages, divided by that among all.

        Of all `rows` passages, `having` have it. 0 if no live one has.
        """
        live = having - self.terms.get(term, 0)
        return _idf(rows - len(self.keys), live) / _idf(rows, having) if live > 0 else 0.0

    def filler(self, rows: int, words: int) -> tuple[int, int]:
        """Return how many passages to add, and words in all, to `rows` passages with `words`.

        The mean length is then that of the passages that are not deleted.
        """
        gone = len(self.keys)
        mean = (words - self.words) / (rows - gone)
        if mean <= 0:
            return 0, 0
        first = max(1, math.ceil(self.words / mean) - gone)

        def wanted(passages: int) -> float:
            return mean * (gone + passages) - self.words

        best = min(
            range(first, first + TRIED), key=lambda one: abs(wanted(one) - round(wanted(one)))
        )
        return best, round(wanted(best))

    def write(self, folder: Path) -> None:
        """Write them next to the files of an index."""
        (folder / FILE).write_text(json.dumps(asdict(self)))


def read(folder: Path) -> Deleted:
    """Return the deleted passages that an index holds."""
    path = folder / FILE
    return Deleted(**json.loads(path.read_bytes())) if path.exists() else Deleted()


def total(parts: Iterable[Deleted]) -> Deleted:
    """Return the deleted passages of several parts of an index."""
    keys, words, terms = list[int](), 0, Counter[str]()
    for one in parts:
        keys += one.keys
        words += one.words
        terms.update(one.terms)
    return Deleted(keys, words, dict(terms))


def _idf(rows: int, having: int) -> float:
    return math.log1p((rows - having + 0.5) / (having + 0.5))
