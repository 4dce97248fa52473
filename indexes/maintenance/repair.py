"""Derived data rebuilt: structures from vectors, vectors by embedding, SQLite's indexes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from indexes.catalog.filtering import indexed_fields
from indexes.catalog.filters.field_names import field_name
from indexes.catalog.records import LEXICAL, EmbeddingRow, IndexRow, ShardRow
from indexes.errors import pluralize
from indexes.ingest.upsert import index_all_values
from indexes.lexical.options import LexicalOptions
from indexes.maintenance.images import COPY, copy_again
from indexes.maintenance.origins import MEMBERS, forget_damaged
from indexes.maintenance.verify import Problem
from indexes.pipeline.ann_builder import AnnBuilder, mark_stale
from indexes.pipeline.bm25_builder import Bm25Builder
from indexes.pipeline.builder import Builder
from indexes.pipeline.encoder import Encode
from indexes.pipeline.session import WriteSession
from indexes.progress import Progress

# Returns the encoder of the index of that name.
Encoder = Callable[[str], Encode]
# Not the table of schema steps: its index holds nothing beyond the table.
TABLES = (
    "documents",
    "passages",
    "fields",
    "field_values",
    "embeddings",
    "shards",
    "indexes",
    "stale",
    "origins",
)


@dataclass(frozen=True)
class RepairReport:
    """Result of a `repair`: what was done, as sentences, and the problems that are left."""

    done: tuple[str, ...]
    left: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        """Whether no problem is left."""
        return not self.left


@dataclass
class Repairer:
    """Repairs of one collection; the caller holds the writer's lock."""

    writer: WriteSession

    def repair(
        self, problems: Sequence[Problem], encoder: Encoder, progress: Progress
    ) -> Iterator[str]:
        """Fix each problem that has a cure; yield what was done."""
        cures = {problem.cure for problem in problems}
        if "tables" in cures and self.writer.catalog.reindex(TABLES):
            yield "built SQLite's own indexes again"
        if "fields" in cures:
            with self.writer.catalog.writing():
                index_all_values(self.writer.catalog, self.writer.corpus)
            names = list(map(field_name, indexed_fields(self.writer.catalog)))
            yield f"indexed the fields {json.dumps(names)} again"
        if MEMBERS in cures:
            yield forget_damaged(self.writer.catalog, self.writer.corpus)
        copies = [int(problem.name) for problem in problems if problem.cure == COPY]
        yield from copy_again(self.writer.corpus.images, copies, self.writer.folder)
        lost = [problem.name for problem in problems if problem.cure == "structure"]
        damaged = {int(problem.name) for problem in problems if problem.cure == "shard"}
        unfinished = {int(problem.name) for problem in problems if problem.cure == "begun"}
        for embedding in self.writer.registry.embeddings():
            if embedding.number in unfinished:
                with self.writer.catalog.writing():
                    self.writer.registry.drop_embedding(embedding.number)
                yield f"dropped the unfinished refit '{embedding.name}'"
            else:
                yield from self._repair_embedding(embedding, lost, damaged, encoder, progress)
        yield from self._rebuild_bm25(lost, progress)

    def _rebuild_bm25(self, lost: Sequence[str], progress: Progress) -> Iterator[str]:
        for row in self.writer.registry.of_kind(LEXICAL.name):
            if row.name in lost:
                options = LexicalOptions.of(row.definition)
                Bm25Builder(self.writer).build(row.name, options, progress, rebuild=True)
                yield f"read all texts for '{row.name}' again"

    def _repair_embedding(
        self,
        embedding: EmbeddingRow,
        lost: Sequence[str],
        damaged: set[int],
        encoder: Encoder,
        progress: Progress,
    ) -> Iterator[str]:
        registry = self.writer.registry
        indexes = [row for row in registry.indexes() if row.embedding == embedding.number]
        shards = [row for row in registry.shards(embedding.number) if row.number in damaged]
        # Made before anything is dropped: without its model, nothing may change.
        encode = encoder(indexes[0].name) if shards else None
        again = [row for row in indexes if row.file and (shards or row.name in lost)]
        self._drop(embedding, shards, again)
        if encode is not None:
            embedded = Builder(self.writer).embed(embedding, lambda: encode, progress)
            yield f"embedded {pluralize(embedded.count, 'passage')} of '{embedding.name}' again"
            for failed in embedded.failed:
                yield f"left out of '{embedding.name}', since it cannot be embedded: {failed}"
        for row in again:
            if AnnBuilder(self.writer).rebuild(row, embedding):
                yield f"built the structure of '{row.name}' again"
            else:
                yield f"'{row.name}' is searched exactly: too few vectors for its structure"

    def _drop(
        self, embedding: EmbeddingRow, shards: Sequence[ShardRow], structures: Sequence[IndexRow]
    ) -> None:
        """Drop damaged shards, and mark the structures over them as stale."""
        if not shards and not structures:
            return
        with self.writer.catalog.writing():
            self.writer.registry.drop_shards(shards)
            for row in structures:
                self.writer.registry.set_index(mark_stale(row, embedding))
