"""Creates embeddings, embeds passages that no shard covers, merges and compacts shards."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from indexes.catalog.passages import Content
from indexes.catalog.records import (
    ANN,
    EmbeddingRow,
    Fitted,
    IndexRow,
    NewEmbedding,
    ShardRow,
    kind_of,
)
from indexes.catalog.registry import gaps
from indexes.errors import DamageError, FailedText, InputError
from indexes.images import Image
from indexes.neighbors import Keys
from indexes.pipeline.adoption import finished_shards, is_whole
from indexes.pipeline.ann_builder import SEARCH, STALE, AnnBuilder, mark_stale
from indexes.pipeline.distributed import DistributedJob, Workers
from indexes.pipeline.embedding_job import (
    BatchSchedule,
    Draft,
    Drafts,
    EmbeddingJob,
    EmbeddingResult,
)
from indexes.pipeline.encoder import Encode, Encoding, FailedPassage, fault_tolerant
from indexes.pipeline.given import GivenVectors
from indexes.pipeline.session import WriteSession
from indexes.pipeline.worker import WorkerSetup
from indexes.progress import Progress
from indexes.storage.files import new_file
from indexes.vectors.blocks import rows_of
from indexes.vectors.shards import (
    MERGED_BYTES,
    bytes_of_row,
    keys_of,
    mergeable,
    rewritten,
)

# Reads the contents of all passages; without images if the argument is false.
ReadContents = Callable[[bool], Iterator[Content]]
# From the contents to the embedding to make. Called by the only writer.
Make = Callable[[ReadContents], NewEmbedding]

# What embeds passages: an embedder in this process, workers, or nothing, if vectors are given.
Encoder = Callable[[], Encode] | GivenVectors | Workers

COMMIT_SECONDS = 4.0
BATCH_SECONDS = 2.0
FIRST_BATCH, LARGEST_BATCH = 64, 4096


@dataclass(frozen=True)
class Builder:
    """Writes the embeddings of one collection; the caller holds the write lock."""

    writer: WriteSession

    def begin(
        self, name: str, make: Make, definition: Mapping[str, Any], progress: Progress
    ) -> EmbeddingRow:
        """Create an embedding and its first index in one commit, so that a stopped build resumes.

        Fitted parameters are stored before anything is embedded, so that all vectors use the same.
        """
        registry = self.writer.registry
        new = make(partial(self.contents, progress))
        fitted = self.write_parameters(name, new)
        with self.writer.catalog.writing():
            embedding = registry.add_embedding(name, new, fitted)
            registry.set_index(IndexRow.planned(name, embedding, definition))
        return embedding

    def embed(
        self,
        embedding: EmbeddingRow,
        encoder: Encoder,
        progress: Progress,
    ) -> EmbeddingResult:
        """Embed every passage without a vector; return their number and the failed documents.

        Finished work is committed every few seconds, so that the next call resumes an interrupted
        one; what workers had finished for that is taken over. `encoder` is called only if there is
        something to embed; its result is called by one thread at a time, a slow one by a background
        thread. Passages that fail are left for the next call; see `FaultTolerantEncoder` for when
        the call fails instead. Of given vectors, passages without one are no failed documents, and
        are counted only.
        """
        outdated = self._adopt(embedding)
        todo = gaps(self.writer.registry.shards(embedding.number), self.writer.corpus.stop_key())
        todo = [gap for gap in todo if self.writer.corpus.count_passages(*gap)]
        result = EmbeddingResult()
        if todo:

            def commit(shards: Sequence[ShardRow]) -> None:
                outdated.update(self._commit_shards(embedding, shards))

            work = self._job(embedding, encoder, commit)
            work.run(todo, progress)
            given = isinstance(encoder, GivenVectors)
            failed = () if given else self._failed_documents(work.failed)
            result = EmbeddingResult(work.embedded, failed, len(work.failed))
        self._merge(embedding)
        for row in outdated.values():
            AnnBuilder(self.writer).rebuild(row, embedding)
        return result

    def _job(
        self,
        embedding: EmbeddingRow,
        encoder: Encoder,
        commit: Callable[[Sequence[ShardRow]], None],
    ) -> EmbeddingJob | DistributedJob:
        """Return the job that embeds passages: here, or on workers."""
        corpus, folder = self.writer.corpus, self.writer.folder
        if isinstance(encoder, Workers):
            load, passages = encoder.load()
            setup = WorkerSetup(folder, embedding, load, self._known_good(embedding))
            return DistributedJob(
                *(corpus, setup, encoder.executor, passages), COMMIT_SECONDS, commit
            )
        if isinstance(encoder, GivenVectors):
            encoding: Encoding = encoder
        else:
            encoding = fault_tolerant(embedding, encoder(), self._known_good(embedding))
        pace = BatchSchedule(
            FIRST_BATCH, LARGEST_BATCH, BATCH_SECONDS, COMMIT_SECONDS, MERGED_BYTES
        )

        def write(drafts: Sequence[Draft]) -> None:
            number = self.writer.registry.next_shard()
            commit(
                [
                    draft.write(number + place, stop_key, folder)
                    for place, (draft, stop_key) in enumerate(drafts)
                ]
            )

        return EmbeddingJob(corpus, encoding, Drafts(embedding), pace, write)

    def _adopt(self, embedding: EmbeddingRow) -> dict[str, IndexRow]:
        """Commit the shards that workers of an earlier build have finished; as `_commit_shards`."""
        found = finished_shards(self.writer.folder, self.writer.corpus, self.writer.registry)
        ours = [one.shard for one in found if one.shard.embedding == embedding.number]
        whole = [shard for shard in ours if is_whole(shard, self.writer.folder)]
        return self._commit_shards(embedding, whole) if whole else {}

    def write_parameters(self, name: str, new: NewEmbedding) -> Fitted:
        """Write the fitted parameters to a file, which is used once a row names it."""
        if new.parameters is None:
            return Fitted()
        file = f"fitted/{name}-{self.writer.catalog.generation() + 1}.bin"
        with new_file(self.writer.folder / file) as written:
            written.write(new.parameters)
        return Fitted(file, written.digest)

    def build_index(
        self,
        embedded: EmbeddingResult,
        name: str,
        embedding: EmbeddingRow,
        definition: Mapping[str, Any],
    ) -> tuple[IndexRow, EmbeddingResult]:
        """Build an index over an embedding; errors as in `AnnBuilder.build_after_embedding`.

        Without a factory in its definition, searches go through the shards by brute force. If it
        sets no search parameters, an index keeps those that it has for its factory. Other indexes
        that a stopped call left stale are rebuilt.
        """
        registry = self.writer.registry
        for row in registry.of_kind(ANN.name):
            if row.embedding == embedding.number and STALE in row.report and row.name != name:
                AnnBuilder(self.writer).rebuild(row, embedding)
        old = next((row for row in registry.indexes() if row.name == name), None)
        builder = AnnBuilder(self.writer)
        definition = builder.planned(old, embedding, definition)
        same = old is not None and old.definition.get("factory") == definition.get("factory")
        if old and same and SEARCH in old.definition:
            definition = {SEARCH: old.definition[SEARCH], **definition}
        row = IndexRow.planned(name, embedding, definition)
        if kind_of(row.kind).has_structure:
            return builder.build_after_embedding(embedded, name, embedding, definition)
        if old is None or old != replace(row, number=old.number, generation=old.generation):
            self.writer.set_index(row)
        return registry.index(name), embedded

    def contents(self, progress: Progress, images: bool) -> Iterator[Content]:
        """Yield what every passage has to embed, in key order; texts only unless `images`."""
        corpus, stop = self.writer.corpus, self.writer.corpus.stop_key()
        total = corpus.count_passages(1, stop) if images else corpus.count_texts(1, stop)
        passages = self.writer.passages(1, stop) if images else self.writer.texts(1, stop)
        for done, passage in enumerate(passages, start=1):
            yield passage.content
            if done % 1_000 == 0 or done == total:
                progress(done, total)

    def _known_good(self, embedding: EmbeddingRow) -> Content | None:
        """Return a text or an image that has been embedded before; None if there is none."""
        deleted = self.writer.corpus.tombstones()
        for shard in self.writer.registry.shards(embedding.number):
            for key in np.setdiff1d(keys_of(shard), deleted)[:1].tolist():
                # Damage to an old passage must not stop the embedding of new ones.
                with contextlib.suppress(DamageError, InputError):
                    content = self.writer.corpus.passages(key, key + 1, 1)[0].content
                    return content if isinstance(content, str) else Image.of_bytes(content.read())
        return None

    def _failed_documents(self, failed: Sequence[FailedPassage]) -> tuple[FailedText, ...]:
        """Return the documents of failed passages, each once, with its first reason."""
        doc_ids = self.writer.corpus.doc_ids([passage.key for passage in failed])
        reasons = dict[str, str]()
        for passage in failed:
            reasons.setdefault(doc_ids[passage.key], passage.reason)
        return tuple(FailedText(doc_id, reason) for doc_id, reason in reasons.items())

    def _commit_shards(
        self, embedding: EmbeddingRow, shards: Sequence[ShardRow]
    ) -> dict[str, IndexRow]:
        """Commit shards, numbered here; return the indexes that this makes stale, by name.

        An ANN index that ends after one of the shards lacks its passages, which had failed.
        """
        number = self.writer.registry.next_shard()
        shards = [replace(shard, number=number + place) for place, shard in enumerate(shards)]
        first_key = min(shard.first_key for shard in shards)
        outdated = {
            row.name: row
            for row in self.writer.registry.indexes()
            if row.embedding == embedding.number and row.file and row.stop_key > first_key
        }
        with self.writer.catalog.writing():
            for shard in shards:
                self.writer.registry.add_shard(shard)
            for row in outdated.values():
                self.writer.registry.set_index(mark_stale(row, embedding))
        return outdated

    def _merge(self, embedding: EmbeddingRow) -> None:
        """Replace each run of small shards by one: a search then takes fewer, larger steps."""
        shards = self.writer.registry.shards(embedding.number)
        indexes = self.writer.registry.indexes()
        boundaries = {row.stop_key for row in indexes if row.embedding == embedding.number}
        row_bytes = bytes_of_row(shards, embedding)

        def is_bare(first_key: int, stop_key: int) -> bool:
            # No passage has a key of the interval, nor ever will.
            return not self.writer.corpus.count_passages(first_key, stop_key)

        for run in mergeable(shards, boundaries, row_bytes, is_bare):
            self._rewrite(run, embedding, np.empty(0, np.int64))

    def _rewrite(self, run: Sequence[ShardRow], embedding: EmbeddingRow, deleted: Keys) -> None:
        number = self.writer.registry.next_shard()
        shard = rewritten(run, number, embedding, self.writer.folder, deleted)
        # The old files stay until the next writer sweeps, for readers about to open them.
        with self.writer.catalog.writing():
            self.writer.registry.drop_shards(run)
            self.writer.registry.add_shard(shard)

    def compact(self, embedding: EmbeddingRow) -> tuple[int, list[str]]:
        """Remove the rows of hidden passages from an embedding's files; nothing is embedded.

        Return their number, and the names of the indexes that lost their ANN structure. Structures
        are rebuilt first: while one holds a deleted row, its key must stay known as deleted.
        """
        deleted = self.writer.hidden(embedding.number)
        exact = AnnBuilder(self.writer).build_behind(embedding)
        gone = 0
        for shard in self.writer.registry.shards(embedding.number):
            if here := len(rows_of(deleted, keys_of(shard))):
                self._rewrite([shard], embedding, deleted)
                gone += here
        self._merge(embedding)
        return gone, exact
