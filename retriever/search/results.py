"""Results of a search: hits with their text, and runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

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

    hits: tuple[Hit, ...] = ()
    notes: tuple[str, ...] = ()

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
