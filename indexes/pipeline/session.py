"""The session of a collection's only writer: the catalog, its tables and the folder of files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from indexes.catalog.corpus import Corpus
from indexes.catalog.passages import Passage
from indexes.catalog.records import IndexRow
from indexes.catalog.registry import Registry, gaps
from indexes.catalog.sqlite.database import Catalog
from indexes.catalog.stale import StaleKeys
from indexes.errors import DamageError
from indexes.neighbors import Keys
from indexes.pipeline.executors.base import Executor
from indexes.storage.files import verify

READ_AT_ONCE = 4096


@dataclass(frozen=True)
class WriteSession:
    """Where all builders write to, and who works for them; the caller holds the write lock."""

    catalog: Catalog
    corpus: Corpus
    registry: Registry
    folder: Path
    executor: Executor | None = None

    def stale(self, embedding: int) -> StaleKeys:
        """Return the keys of earlier texts that answer in an embedding."""
        left = gaps(self.registry.shards(embedding), self.corpus.stop_key())
        return self.corpus.stale.answering(embedding, left)

    def hidden(self, embedding: int) -> Keys:
        """Return the keys that no search of an embedding's vectors finds, ascending."""
        return self.stale(embedding).hidden(self.corpus.tombstones())

    def set_index(self, row: IndexRow) -> None:
        """Store the row of an index in one commit."""
        with self.catalog.writing():
            self.registry.set_index(row)

    def is_intact(self, index: IndexRow) -> bool:
        """Return whether an index has its file, undamaged."""
        try:
            verify(self.folder / str(index.file), index.digest)
        except DamageError:
            return False
        return index.file is not None

    def passages(self, first_key: int, stop_key: int) -> Iterator[Passage]:
        """Yield the passages of an interval, in key order, read a few thousand at a time."""
        position = first_key
        while batch := self.corpus.passages(position, stop_key, READ_AT_ONCE):
            yield from batch
            position = batch[-1].key + 1

    def texts(self, first_key: int, stop_key: int) -> Iterator[Passage]:
        """Yield the passages of an interval that are texts, in key order."""
        passages = self.passages(first_key, stop_key)
        return (passage for passage in passages if isinstance(passage.content, str))
