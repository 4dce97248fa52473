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

    `fingerprint` is one line of JSON over everything that decides the scores (no paths); `notes`
    are sentences for the user. `readable` are the ids of the documents that it has what it needs
    of; None if it reads the text of any.
    """

    name: str
    spec: EmbedderSpec
    fingerprint: str
    notes: Sequence[str]
    readable: Collection[str] | None

    def scores(self, query: str, documents: Sequence[Candidate]) -> Scores:
        """Return the scores (n,) of some candidates, higher is better; -inf: it cannot read one.

        A score depends on the query and its own document only.
        """

    def lacking(self, doc_ids: Sequence[str]) -> str:
        """Return a note that it cannot read these documents, and what to do about it."""

    def work(self, count: int) -> str:
        """Return what it reads for a query with that many candidates, such as `20 texts`."""
