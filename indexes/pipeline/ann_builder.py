"""Builds of indexes over vectors: built, rebuilt, or marked stale until they are rebuilt."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from indexes.catalog.descriptions import Descriptions
from indexes.catalog.records import ASKED, AUTO, EmbeddingRow, IndexRow, ShardRow, kind_of
from indexes.errors import DamageError, InputError, RetrieverError
from indexes.neighbors import Keys, Matrix
from indexes.pipeline.embedding_job import EmbeddingResult
from indexes.pipeline.session import WriteSession
from indexes.pipeline.structure_parts import filler
from indexes.progress import PEAK_MEMORY, RECALL, SEARCH_TIME, Peak
from indexes.storage.files import new_file, verify
from indexes.vectors.approximate import recall
from indexes.vectors.blocks import Block
from indexes.vectors.engine import VectorIndex
from indexes.vectors.engines import automatic, engine_of, remote_engine_of
from indexes.vectors.nodes import duplicates
from indexes.vectors.remote.engine import ENGINE
from indexes.vectors.remote.index import read as read_remote
from indexes.vectors.shards import live_rows, open_shards, tail_of
from indexes.vectors.tuning import tune

# In the report of an index: it is to be rebuilt. One that FAISS refused is not.
STALE = "given_up"
# A structure is kept while at most so many live rows are not in it, which are searched exactly next
# to it, and at most so many of its own are deleted: this number, or this share of it.
TAIL_ROWS, TAIL_SHARE = 1_000, 0.05
# What a definition says of a structure.
SEARCH = "search"
STRUCTURE = ("factory", SEARCH)
REMOTE = ("factory", ENGINE)


@dataclass(frozen=True)
class AnnBuilder:
    """Builds the indexes over embeddings; the caller holds the write lock."""

    writer: WriteSession

    def build(self, name: str, embedding: EmbeddingRow, definition: Mapping[str, Any]) -> IndexRow:
        """Build an index over an embedding, unless it covers nearly all vectors; return its row."""
        registry = self.writer.registry
        old = next((row for row in registry.indexes() if row.name == name), None)
        row = IndexRow.planned(name, embedding, definition)
        if old and self._is_current(old, row, embedding):
            asked = row.definition.get(ASKED)
            if asked not in (None, old.definition.get(ASKED)):
                row = replace(old, definition=row.definition)
                self.writer.set_index(self.tuned(row, embedding, asked))
            elif old.definition != row.definition:
                self.writer.set_index(_redefined(old, row.definition))
            return registry.index(name)
        self.writer.set_index(self._built(row, embedding))
        return registry.index(name)

    def build_after_embedding(
        self,
        embedded: EmbeddingResult,
        name: str,
        embedding: EmbeddingRow,
        definition: Mapping[str, Any],
    ) -> tuple[IndexRow, EmbeddingResult]:
        """Build an index; if texts failed before, return what prevents it in `unbuilt`."""
        try:
            return self.build(name, embedding, definition), embedded
        except RetrieverError as error:
            if not embedded.failed:
                raise
            return IndexRow.planned(name, embedding, definition), replace(embedded, unbuilt=error)

    def rebuild(self, index: IndexRow, embedding: EmbeddingRow) -> bool:
        """Rebuild an index; return whether the vectors are enough, else it is searched exactly."""
        row = self.over(index, embedding)
        self.writer.set_index(row)
        return row.file is not None

    def build_behind(self, embedding: EmbeddingRow) -> list[str]:
        """Rebuild every index that lacks live rows, or has others.

        Return the names of those that FAISS could not build over the remaining vectors: they are
        searched exactly from now on.
        """
        rows = [row for row in self.writer.registry.indexes() if row.embedding == embedding.number]
        behind = [row for row in rows if self._is_behind(row)]
        return [row.name for row in behind if not self.rebuild(row, embedding)]

    def over(self, index: IndexRow, embedding: EmbeddingRow) -> IndexRow:
        """Return an index with a new file that no row names yet; without one if FAISS refuses."""
        definition = self.planned(None, embedding, index.definition)
        row = IndexRow.planned(index.name, embedding, definition)
        # Usually because there are too few vectors to train on; the caller reports it.
        with contextlib.suppress(InputError):
            row = self._built(row, embedding)
        return row

    def planned(
        self, old: IndexRow | None, embedding: EmbeddingRow, definition: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Return a definition with the structure for the present vectors, if it is to be chosen.

        That of an `old` index is kept as long as it covers nearly all vectors.
        """
        if not definition.get(AUTO):
            return definition
        own = {name: value for name, value in definition.items() if name not in STRUCTURE}
        if old and old.file and old.definition.get(AUTO) and self._is_near(old, embedding):
            chosen = {name: old.definition[name] for name in STRUCTURE if name in old.definition}
            return own | chosen
        shards = self.writer.registry.shards(embedding.number)
        deleted = self.writer.hidden(embedding.number)
        rows = live_rows(shards, deleted)
        asked = float(definition[ASKED])
        if automatic(rows, embedding.dim, asked):
            # Equal vectors share a node: the structure is that for the others.
            blocks = open_shards(shards, embedding, self.writer.folder)
            rows -= len(duplicates(blocks, deleted)[0])
        return own | automatic(rows, embedding.dim, asked)

    def tuned(
        self,
        index: IndexRow,
        embedding: EmbeddingRow,
        recall: float,
        queries: Matrix | None = None,
    ) -> IndexRow:
        """Return an index with the search parameters that reach a recall; see `tuning.tune`."""
        structure, blocks, deleted = self.opened(index, embedding)
        definition, report = _tuned(structure, blocks, deleted, index.definition, recall, queries)
        return replace(index, definition=definition, report={**index.report, **report})

    def opened(
        self, index: IndexRow, embedding: EmbeddingRow
    ) -> tuple[VectorIndex, Sequence[Block], Keys]:
        """Return the structure of an index, the vectors that it was built over, and hidden keys."""
        path = self.writer.folder / str(index.file)
        verify(path, index.digest)
        structure = engine_of(index.definition).load(path, index.definition, embedding.dim)
        shards = self.writer.registry.shards(embedding.number)
        later = {shard.number for shard in tail_of(index, shards)}
        covered = [shard for shard in shards if shard.number not in later]
        blocks = open_shards(covered, embedding, self.writer.folder)
        blocks = [block for block in blocks if len(block.keys)]
        return structure, blocks, self.writer.hidden(embedding.number)

    def check_has_structure(self, index: IndexRow) -> None:
        """Raise an InputError if a search of an index goes through no structure."""
        if kind_of(index.kind).has_structure and index.file is not None:
            return
        why = f"Index '{index.name}' has no structure to tune"
        if index.parts:
            raise InputError(f"{why}, as it combines others: {', '.join(index.parts)}. Tune those.")
        why = f"{why}: a search of it is exact."
        if index.embedding is None or self.writer.registry.embedding_of(index).is_sparse:
            raise InputError(why)
        raise InputError(f"{why} Build one with --ann (ann='auto', ann='HNSW32').")

    def _is_current(self, old: IndexRow, new: IndexRow, embedding: EmbeddingRow) -> bool:
        one, other = ((row.embedding, *map(row.definition.get, REMOTE)) for row in (old, new))
        if one != other:
            return False
        return self._is_near(old, embedding) and self.writer.is_intact(old)

    def _is_near(self, index: IndexRow, embedding: EmbeddingRow) -> bool:
        """Return whether few live rows are not in a structure, and few of its own are deleted."""
        shards = self.writer.registry.shards(embedding.number)
        deleted = self.writer.hidden(embedding.number)
        later = live_rows(tail_of(index, shards), deleted)
        gone = index.rows - (live_rows(shards, deleted) - later)
        if remote_engine_of(index.definition):  # what has changed is sent, and nothing else
            return later == gone == 0 and self._has_metadata(index)
        return max(later, gone) <= max(TAIL_ROWS, TAIL_SHARE * index.rows)

    def _has_metadata(self, index: IndexRow) -> bool:
        """Return whether no document has changed since an index on a server was built."""
        with contextlib.suppress(DamageError):
            kept = read_remote(self.writer.folder / str(index.file))
            return kept.reference.content == self.writer.corpus.content()
        return False

    def _is_behind(self, index: IndexRow) -> bool:
        """Return whether an index lacks live rows, or has others."""
        if index.file is None or index.embedding is None:
            return False
        shards = self.writer.registry.shards(index.embedding)
        rows = live_rows(shards, self.writer.hidden(index.embedding))
        return index.stop_key != _seen(shards) or index.rows != rows

    def _file_of(self, planned: IndexRow) -> Path | None:
        """Return the file of the index that a planned one brings up to date, if it has one."""
        for row in self.writer.registry.indexes():
            one, other = (
                (index.name, index.embedding, *map(index.definition.get, REMOTE))
                for index in (row, planned)
            )
            if one == other and row.file and self.writer.is_intact(row):
                return self.writer.folder / row.file
        return None

    def _built(self, planned: IndexRow, embedding: EmbeddingRow) -> IndexRow:
        """Return a planned index with its file; exact search needs none."""
        if not kind_of(planned.kind).has_structure:
            return planned
        engine = engine_of(planned.definition)
        all_shards = self.writer.registry.shards(embedding.number)
        shards = [shard for shard in all_shards if shard.rows]
        deleted = self.writer.hidden(embedding.number)
        blocks = open_shards(shards, embedding, self.writer.folder)
        generation = self.writer.catalog.generation() + 1
        file = f"ann/{planned.name}-{generation}{engine.suffix}"
        started = time.perf_counter()
        with Peak() as peak:
            if (remote := remote_engine_of(planned.definition)) is None:
                own = (self.writer.executor, planned.name, embedding, self.writer.folder)
                fill = filler(*own, list(zip(shards, blocks, strict=True)))
                index = engine.build(planned.definition, embedding.dim, blocks, deleted, fill)
            else:
                before, path = self._file_of(planned), self.writer.folder / file
                described = Descriptions(self.writer.catalog)
                index = remote.update(
                    before, path, planned.definition, embedding.dim, blocks, deleted, described
                )
            definition = engine.settled(planned.definition, embedding.dim)
            asked = definition.get(ASKED)
            if asked is None:
                report = {RECALL: round(1000 * recall(index, blocks, deleted))}
            else:
                definition, report = _tuned(index, blocks, deleted, definition, asked)
        seconds = time.perf_counter() - started
        with new_file(self.writer.folder / file) as new:
            index.write(new.write)
        return replace(
            planned,
            definition=definition,
            generation=generation,
            stop_key=_seen(all_shards),
            rows=index.rows,
            file=file,
            digest=new.digest,
            seconds=seconds,
            report={PEAK_MEMORY: peak.bytes, **report},
        )


def _tuned(
    structure: VectorIndex,
    blocks: Sequence[Block],
    deleted: Keys,
    definition: Mapping[str, Any],
    asked: float,
    queries: Matrix | None = None,
) -> tuple[dict[str, Any], dict[str, int]]:
    """Return a definition with tuned search parameters, and what its index is to report of them."""
    found = tune(structure, blocks, deleted, asked, queries)
    report = {RECALL: round(1000 * found.recall), SEARCH_TIME: round(1e9 * found.latency)}
    return {**definition, ASKED: asked, SEARCH: dict(found.search)}, report


def mark_stale(index: IndexRow, embedding: EmbeddingRow) -> IndexRow:
    """Return an index whose file is not used any more, until it is rebuilt."""
    return replace(IndexRow.planned(index.name, embedding, index.definition), report={STALE: 1})


def _redefined(index: IndexRow, definition: Mapping[str, Any]) -> IndexRow:
    """Return an index with another definition of the same structure."""
    same = index.definition.get(SEARCH) == definition.get(SEARCH)
    # With other search parameters, another recall: it was measured after building only.
    measured = {RECALL, SEARCH_TIME}
    report = {name: n for name, n in index.report.items() if same or name not in measured}
    return replace(index, definition=definition, report=report)


def _seen(shards: Sequence[ShardRow]) -> int:
    """Return the key before which an index over these shards stops; 1 if there are none."""
    return max((shard.stop_key for shard in shards), default=1)
