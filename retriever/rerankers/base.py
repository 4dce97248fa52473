"""What every reranker has: scores of candidates for a query."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from retriever.embedders.base import EmbedderSpec

Scores = NDArray[np.float32]


class Candidate(NamedTuple):
    """A document that a first search found, by the text of its best passage, title included."""

    doc_id: str
    text: str


class Reranker(Protocol):
    """A model that reads a query and a document together.

    Its fingerprint has no paths.
    """

    name: str
    spec: EmbedderSpec

    @property
    def fingerprint(self) -> str:
        """One line of JSON over everything that decides the scores."""

    @property
    def notes(self) -> Sequence[str]:
        """Sentences for the user."""

    @property
    def readable(self) -> Collection[str] | None:
        """Ids of the documents that it can read; None for all."""

    def scores(self, query: str, documents: Sequence[Candidate]) -> Scores:
        """Return the scores (n,) of some candidates, higher is better; -inf: it cannot read one.

        A score depends on the query and its own document only.
        """

    def lacking(self, doc_ids: Sequence[str]) -> str:
        """Return a note that it cannot read these documents, and what to do about it."""

    def work(self, count: int) -> str:
        """Return what it reads for a query with that many candidates, such as `20 texts`."""
