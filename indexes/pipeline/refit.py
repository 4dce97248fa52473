"""Refits of embedders on the current corpus.

What an embedder was fitted to, such as word frequencies, is kept in a file next to the vectors, and
used for all documents until the embedder is refit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from indexes.catalog.records import (
    FITTING_MEMORY,
    FITTING_SECONDS,
    EmbeddingRow,
    NewEmbedding,
    read_parameters,
)
from indexes.catalog.registry import gaps
from indexes.errors import DamageError
from indexes.pipeline.ann_builder import AnnBuilder
from indexes.pipeline.builder import Builder, Encoder, Make
from indexes.pipeline.embedding_job import EmbeddingResult
from indexes.pipeline.session import WriteSession
from indexes.progress import Progress
from indexes.vectors.shards import keys_of


@dataclass(frozen=True)
class Refitter:
    """Refits embeddings; the caller holds the write lock."""

    writer: WriteSession

    @property
    def _builder(self) -> Builder:
        return Builder(self.writer)

    def refit(
        self, name: str, old: EmbeddingRow, make: Make, encoder: Encoder, progress: Progress
    ) -> EmbeddingResult:
        """Refit on the current corpus and embed all of it again; return as `Builder.embed` does.

        Searches use the old vectors until the new ones are complete; then all indexes over them
        change to the new in one commit, with their structures. The next call resumes a stopped one
        if it would fit the same, and starts again if the corpus has changed.

        If a document that the old vectors answer for fails now, nothing changes, so that it stays
        searchable, and the call can be repeated. One without an old vector does not prevent it.
        """
        new = make(partial(self._builder.contents, progress))
        if new.fingerprint == old.fingerprint:
            self._keep_vectors(name, old, new)
            return self._builder.embed(old, encoder, progress)
        embedding = self._resume_or_start(name, old, new)
        embedded = self._builder.embed(embedding, encoder, progress)
        if not self._loses(old, embedding):
            self._replace(old, embedding)
        return embedded

    def _loses(self, old: EmbeddingRow, new: EmbeddingRow) -> bool:
        """Return whether a passage has an old vector but could not be embedded again.

        Or whether its document's earlier text answers by the old vectors, and by the new does not.
        """
        registry, deleted = self.writer.registry, self.writer.corpus.tombstones()
        left = gaps(registry.shards(new.number), self.writer.corpus.stop_key())
        failed, after = (self.writer.corpus.stale.answering(n.number, left) for n in (old, new))
        lost = np.setdiff1d(failed.documents, after.documents)
        if len(np.intersect1d(lost, self.writer.stale(old.number).documents)):
            return True
        for row in registry.shards(old.number) if left else ():
            keys = keys_of(row)
            here = np.concatenate([keys[(keys >= first) & (keys < stop)] for first, stop in left])
            if len(np.setdiff1d(here, deleted)):
                return True
        return False

    def _keep_vectors(self, name: str, old: EmbeddingRow, new: NewEmbedding) -> None:
        """Keep vectors that would not change; rewrite only a damaged file of parameters."""
        begun = self.writer.registry.unfinished_refits(old.number)
        measured = {FITTING_SECONDS: 0, FITTING_MEMORY: 0}
        same = {**old.attributes, **measured} == {**new.attributes, **measured}
        if same and self._is_intact(old) and not begun:
            return
        fitted = old.fitted if self._is_intact(old) else self._builder.write_parameters(name, new)
        with self.writer.catalog.writing():
            self.writer.registry.set_fitted(old.number, fitted, new.attributes)
            for half in begun:
                self.writer.registry.drop_embedding(half.number)

    def _resume_or_start(self, name: str, old: EmbeddingRow, new: NewEmbedding) -> EmbeddingRow:
        """Return the unfinished refit if it would be fitted the same, else start a new one."""
        begun = self.writer.registry.unfinished_refits(old.number)
        for half in begun:
            if half.fingerprint == new.fingerprint and self._is_intact(half):
                return half
        fitted = self._builder.write_parameters(name, new)
        with self.writer.catalog.writing():
            for half in begun:
                self.writer.registry.drop_embedding(half.number)
            return self.writer.registry.add_embedding(old.name, new, fitted, old.number)

    def _replace(self, old: EmbeddingRow, new: EmbeddingRow) -> None:
        registry = self.writer.registry
        rows = [row for row in registry.indexes() if row.embedding == old.number]
        rows = [AnnBuilder(self.writer).over(row, new) for row in rows]
        with self.writer.catalog.writing():
            for row in rows:
                registry.set_index(row)
            registry.replace_embedding(old, new)

    def _is_intact(self, embedding: EmbeddingRow) -> bool:
        try:
            read_parameters(self.writer.folder, embedding, embedding.name)
        except DamageError:
            return False
        return True
