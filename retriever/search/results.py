"""Results of a search: hits with their text, and runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

from indexes.catalog.images import NO_TEXT
from indexes.catalog.passages import FoundPassage
from indexes.document import copy_of
from indexes.images import Image
from retriever.formats import read_run, write_run

# What one query finds: keys and scores.
Answer = tuple[list[int], list[float]]


@dataclass(frozen=True)
class Hit:
    """A document that was found: `rank` counts from 1, a higher `score` is better.

    `text` is the passage that was found, and `passage` its position in the document's text, as
    (start, end) in characters. A document that is not split is one passage. `image` is that of the
    document, if it has one; a hit that was found by its image has the whole text.

    A `stale` hit was found, and scored, by the text that the document had before it was edited: the
    index does not have the new one yet. Title, text and metadata are the document's present ones;
    the passage is its first.
    """

    rank: int
    doc_id: str
    score: float
    text: str
    title: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    passage: tuple[int, int] = (0, 0)
    stale: bool = False
    image: Image | None = None


@dataclass(frozen=True)
class Hits(Sequence[Hit]):
    """The hits of one query, best first, and notes for the user."""

    hits: tuple[Hit, ...] = field(default_factory=tuple)
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, scores: Sequence[float], passages: Sequence[FoundPassage], notes: tuple[str, ...]
    ) -> Hits:
        """Return the hits of passages, best first; each becomes a `Hit` when they are first read.

        All are of the one state of the collection that the passages were read from.
        """
        made = object.__new__(cls)
        fields = made.__dict__  # one by one: the fastest way around a frozen class
        fields["notes"] = notes
        fields["_found"] = scores, passages
        return made

    def __getattr__(self, name: str) -> tuple[Hit, ...]:
        found = self.__dict__.get("_found")
        if name != "hits" or found is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        made = tuple(map(_hit, range(1, len(found[0]) + 1), *found))
        hits: tuple[Hit, ...] = self.__dict__.setdefault("hits", made)  # of the fastest thread
        return hits

    def __len__(self) -> int:
        return len(self.hits)

    @overload
    def __getitem__(self, at: int) -> Hit: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Hit, ...]: ...
    def __getitem__(self, at: int | slice) -> Hit | tuple[Hit, ...]:
        return self.hits[at]

    def _repr_html_(self) -> str:
        """Return the hits as a table, which notebooks show."""
        from retriever.search.notebook import hits_html

        return hits_html(self)


def _hit(rank: int, score: float, passage: FoundPassage) -> Hit:
    """Return `Hit(...)` in a third of the time: a frozen dataclass sets its fields one by one."""
    _, document, start, end, stale = passage
    if start == NO_TEXT:
        start, end = 0, len(document.text)
    hit = object.__new__(Hit)
    fields = hit.__dict__
    fields["rank"] = rank
    fields["doc_id"] = document.doc_id
    fields["score"] = score
    fields["text"] = document.text[start:end]
    fields["title"] = document.title
    # The document may be kept for other searches.
    fields["metadata"] = copy_of(document.metadata) if document.metadata else {}
    fields["passage"] = start, end
    fields["stale"] = stale
    fields["image"] = document.image
    return hit


@dataclass(frozen=True)
class Timing:
    """Seconds spent on encoding queries, on searching, and on fetching texts from SQLite."""

    encoding: float = 0.0
    searching: float = 0.0
    fetching: float = 0.0

    @property
    def total(self) -> float:
        """The sum of all three."""
        return self.encoding + self.searching + self.fetching


@dataclass(frozen=True)
class Run:
    """The answers of one retriever to a set of queries: a TREC run, and the time of the batch.

    `ranking` maps a query id to (doc_id, score), best first, at most `k` of them.
    """

    name: str
    k: int
    ranking: Mapping[str, Sequence[tuple[str, float]]]
    timing: Timing = Timing()

    def _repr_html_(self) -> str:
        """Return the best hits of each query as a table, which notebooks show."""
        from retriever.search.notebook import run_html

        return run_html(self)

    def write(self, path: Path) -> None:
        """Write the run in TREC's six columns; see `formats.write_run` for errors."""
        write_run(path, self.ranking, self.name)

    @classmethod
    def of(cls, name: str, ranking: Mapping[str, Sequence[tuple[str, float]]]) -> Run:
        """Wrap a ranking made elsewhere; `k` is the length of its longest list."""
        return cls(name, max(map(len, ranking.values()), default=0), ranking)

    @classmethod
    def read(cls, path: Path, name: str = "") -> Run:
        """Read a TREC run; its name defaults to that of the file."""
        return cls.of(name or path.stem, read_run(path))
