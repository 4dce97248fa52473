"""Shards become search structures: built, built anew, or given up until they are built again."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from indexes import ann
from indexes.catalog.records import NOTHING, EmbeddingRow, IndexRow, ShardRow
from indexes.errors import InputError, RetrieverError
from indexes.pipeline.embedding_job import PEAK_MEMORY, EmbeddingResult
from indexes.pipeline.session import WriteSession
from indexes.storage.files import new_file
from indexes.storage.memory import Peak
from indexes.vectors.coverage import live_rows
from indexes.vectors.shards import open_shards

# In the report of an index: its structure is to be made again. One that FAISS refused is not.
GIVEN_UP = "given_up"


@dataclass(frozen=True)
class AnnBuilder:
    """Builds the indexes over embeddings; its caller holds the writer's lock."""

    writer: WriteSession

    def build(self, name: str, embedding: EmbeddingRow, definition: Mapping[str, Any]) -> IndexRow:
        """Build the index of that name over an embedding, or leave it where it has seen all.

        Without a factory in its recipe, searching goes straight through the shards.
        """
        registry = self.writer.registry
        old = next((row for row in registry.indexes() if row.name == name), None)
        row = planned(name, embedding, definition)
        if old and self._is_current(old, row, embedding):
            if old.definition != row.definition:
                self.writer.set_index(replace(old, definition=row.definition))
            return registry.index(name)
        if row.kind == "ann":
            row = self._build_ann(row, embedding)
        self.writer.set_index(row)
        return registry.index(name)

    def build_beside(
        self,
        embedded: EmbeddingResult,
        name: str,
        embedding: EmbeddingRow,
        definition: Mapping[str, Any],
    ) -> tuple[IndexRow, EmbeddingResult]:
        """`build`, and what was embedded before it; with why it is not built, where texts failed.

        Raises:
            InputError: FAISS refuses to build it, and no text failed.
        """
        try:
            return self.build(name, embedding, definition), embedded
        except RetrieverError as error:
            if not embedded.failed:
                raise
            return planned(name, embedding, definition), replace(embedded, unbuilt=error)

    def build_again(self, index: IndexRow, embedding: EmbeddingRow) -> bool:
        """Build a structure anew over the vectors that there are now; whether they are enough.

        Where they are not, the index is searched exactly until it is built again.
        """
        row = self.over(index, embedding)
        self.writer.set_index(row)
        return row.file is not None

    def build_behind(self, embedding: EmbeddingRow) -> list[str]:
        """Build every structure anew that lacks living rows, or has others than those.

        Gives the names of the indexes that lost theirs by it: FAISS could not build it over what
        is left, and they are searched exactly from now on.
        """
        indexes = self.writer.registry.indexes()
        behind = [
            row for row in indexes if row.embedding == embedding.number and self._is_behind(row)
        ]
        return [row.name for row in behind if not self.build_again(row, embedding)]

    def restore(self, embedding: EmbeddingRow, *, but: str) -> None:
        """Build the structures that were given up, but for one that is built anyway.

        A call was stopped before it had made them again; see `Builder._commit_shards`.
        """
        for row in self.writer.registry.of_kind("ann"):
            if row.embedding == embedding.number and GIVEN_UP in row.report and row.name != but:
                self.build_again(row, embedding)

    def over(self, index: IndexRow, embedding: EmbeddingRow) -> IndexRow:
        """An index over an embedding as it is now, whose new file nothing names yet.

        Where it has a structure that FAISS cannot build over so few vectors, it goes without.
        """
        row = planned(index.name, embedding, index.definition)
        if row.kind == "flat":
            return row
        # FAISS refuses, most often, because there are too few to train on; the caller says it.
        with contextlib.suppress(InputError):
            row = self._build_ann(row, embedding)
        return row

    def _is_current(self, old: IndexRow, new: IndexRow, embedding: EmbeddingRow) -> bool:
        factories = old.definition.get("factory"), new.definition.get("factory")
        same = (old.embedding, factories[0]) == (new.embedding, factories[1])
        seen = _seen(self.writer.registry.shards(embedding.number))
        return same and (old.kind == "flat" or (old.stop_key == seen and self.writer.is_whole(old)))

    def _is_behind(self, index: IndexRow) -> bool:
        """Whether a structure lacks living rows, or has others than those."""
        if index.file is None or index.embedding is None:
            return False
        shards = self.writer.registry.shards(index.embedding)
        corpus = self.writer.corpus
        return index.stop_key != _seen(shards) or index.rows != live_rows(corpus, shards)

    def _build_ann(self, planned: IndexRow, embedding: EmbeddingRow) -> IndexRow:
        folder = self.writer.folder
        shards = self.writer.registry.shards(embedding.number)
        deleted = self.writer.corpus.tombstones()
        blocks = open_shards(shards, embedding, folder)
        started = time.perf_counter()
        with Peak() as peak:
            index = ann.build(planned.definition["factory"], embedding.dim, blocks, deleted)
        seconds = time.perf_counter() - started
        generation = self.writer.catalog.generation() + 1
        file = f"ann/{planned.name}-{generation}.faiss"
        with new_file(folder / file) as new:
            index.write(new.write)
        return replace(
            planned,
            generation=generation,
            stop_key=_seen(shards),
            rows=index.rows,
            file=file,
            digest=new.digest,
            seconds=seconds,
            report={PEAK_MEMORY: peak.bytes},
        )


def planned(
    name: str, embedding: EmbeddingRow, definition: Mapping[str, Any] | None = None
) -> IndexRow:
    """An index without a file yet, searched straight from the shards until it has one.

    In its recipe, `factory` is a FAISS factory string; the rest is its owner's.
    """
    definition = definition or {}
    kind = "ann" if "factory" in definition else "flat"
    return replace(NOTHING, name=name, kind=kind, embedding=embedding.number, definition=definition)


def mark_stale(index: IndexRow, embedding: EmbeddingRow) -> IndexRow:
    """An index whose structure does not count any more, until it is built again."""
    return replace(planned(index.name, embedding, index.definition), report={GIVEN_UP: 1})


def _seen(shards: Sequence[ShardRow]) -> int:
    """The key at which a structure over these shards stops; 1 where there are none."""
    return max((shard.stop_key for shard in shards), default=1)
